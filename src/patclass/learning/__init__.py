"""Learning from people: what they say, what it is worth, and whether a new model is better."""
