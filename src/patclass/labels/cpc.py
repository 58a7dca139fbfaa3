"""The table of the CPC scheme: titles of sections, classes and subclasses."""

from functools import cache
from importlib import resources


@cache
def titles() -> dict[str, str]:
    """Every section, class and subclass with its title."""
    table = resources.files("patclass.labels") / "cpc.tsv"
    lines = table.read_text(encoding="utf-8").splitlines()[1:]
    return dict(line.split("\t") for line in lines)


def title_of(code: str) -> str:
    """The official title of a code, or the code itself where the scheme has none."""
    return titles().get(code, code)
