"""The command line: a thin layer that parses, calls and prints."""

from patclass.cli.main import run

__all__ = ["run"]
