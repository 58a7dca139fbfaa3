"""Export: a bundle made ready to answer fast, and only if it still answers alike."""
