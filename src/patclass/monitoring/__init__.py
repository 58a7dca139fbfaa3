"""Whether what is asked is still what the model was measured on. Knows figures, no models."""
