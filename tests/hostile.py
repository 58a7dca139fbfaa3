"""What a hostile file may make a library do. Imports little, as processes start for it."""

import os

from patclass.core.errors import DataError


def take(megabytes: int) -> int:
    return len(bytearray(megabytes << 20))


def turn() -> None:
    while True:
        pass


def abort() -> None:
    os.abort()


def fail(text: str) -> None:
    raise ZeroDivisionError(text)


def refuse() -> None:
    raise DataError("sheet 'x' is missing", setting="sheet")


def talk() -> list[str]:
    print("not JSON")
    return sorted(os.environ)
