"""``python -m patclass``."""

from patclass.cli import run

if __name__ == "__main__":
    run()
