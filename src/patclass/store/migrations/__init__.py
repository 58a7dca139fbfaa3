"""Migrations of the tables; the newest revision is ``HEAD``."""

HEAD = "0001"
