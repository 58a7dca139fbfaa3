"""How the tables came about, step by step; the newest step is ``HEAD``."""

HEAD = "0002"
