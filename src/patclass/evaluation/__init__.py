"""Evaluation: metrics with intervals, baselines on the same rows, the report and its page."""
