"""Training: the loop, its checkpoints and curve, and the run from data to bundle."""
