"""Engines: what computes a model, with torch or with OpenVINO."""
