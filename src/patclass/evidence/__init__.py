"""Evidence: what is known that resembles a text, and whether anything does."""
