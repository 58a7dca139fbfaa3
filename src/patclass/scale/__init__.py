"""Classification of any number of patents by many workers, and what that takes."""
