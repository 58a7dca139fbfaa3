"""Calibration: from scores to probabilities, label sets and thresholds that hold."""
