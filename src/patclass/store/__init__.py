"""What is remembered: predictions, verdicts, reviews, models, events. Knows SQL, no models."""
