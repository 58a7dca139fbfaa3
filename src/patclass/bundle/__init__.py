"""The bundle: one checked folder that holds all that is needed to answer, but for the base."""

from patclass.bundle.bundle import Bundle, read_bundle, write_bundle

__all__ = ["Bundle", "read_bundle", "write_bundle"]
