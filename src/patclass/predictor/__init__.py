"""The predictor: from texts to calibrated probabilities, and the components around the model."""
