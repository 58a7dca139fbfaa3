"""Monitoring: whether live patents are still like those that the model was measured on."""
