"""The HTTP service: who may call it, what it answers, and how it stays up."""
