"""Core: errors, configuration, files that are written atomically, shared types."""
