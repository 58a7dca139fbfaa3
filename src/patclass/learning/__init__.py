"""Learning from feedback: training data, retraining, the gate, promotion, the review queue."""
