"""The store: predictions, feedback, reviews, models, events. Knows SQL, no models."""
