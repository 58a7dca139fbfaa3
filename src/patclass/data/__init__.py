"""Data: reading patents from files and hubs, choosing text, labels and rows."""
