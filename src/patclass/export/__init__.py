"""Export: a bundle made ready to answer fast, and only if its predictions still agree."""
