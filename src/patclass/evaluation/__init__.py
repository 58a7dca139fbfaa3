"""Evaluation: metrics, baselines on the same rows, and a report with a verdict in words."""
