"""The CPC scheme: titles, sections, changes, and codes in any spelling.

Its table is complete down to subclasses. Of groups there are the titles of the IPC, which the CPC
took over and subdivided; so a group that is not among them may exist all the same.
"""

import lzma
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from itertools import islice

from patclass.core.errors import DataError
from patclass.cpc.symbols import SUBCLASS_DEPTH, Symbol, code_path


@cache
def titles() -> dict[str, str]:
    """Every section, class and subclass with its title."""
    table = resources.files("patclass.cpc") / "cpc.tsv"
    lines = table.read_text(encoding="utf-8").splitlines()[1:]
    return dict(line.split("\t") for line in lines)


@cache
def _packed_groups() -> dict[str, tuple[list[bytes], list[bytes]]]:
    """Groups and their titles by subclass, as ``groups.txt.xz`` has them.

    It is made, and described, by scripts/group_titles.py. To unpack it takes a tenth of a second
    and 11 MB, so nothing does before a title is asked for.
    """
    packed = (resources.files("patclass.cpc") / "groups.txt.xz").read_bytes()
    symbols, _, titles = lzma.decompress(packed).partition(b"\n\n")
    lines = iter(titles.split(b"\n"))
    groups = (line.split() for line in symbols.split(b"\n"))
    return {first.decode(): (rest, list(islice(lines, len(rest)))) for first, *rest in groups}


@lru_cache(maxsize=32)
def _groups_of(subclass: str) -> Mapping[str, str]:
    """The titles of the main groups and subgroups of a subclass, empty if the table has none."""
    symbols, titles = _packed_groups().get(subclass, ([], []))
    found: dict[str, str] = {}
    main = ""
    above: list[str] = []  # titles by their number of dots, less one
    for symbol, title in zip(map(bytes.decode, symbols), map(bytes.decode, titles), strict=True):
        if symbol.isdecimal():
            main = symbol
            found[f"{subclass}{main}/00"] = title
        else:
            dots = ord(symbol[-1]) - ord("a")
            above[dots:] = [title]
            found[f"{subclass}{main}/{symbol[:-1]}"] = " › ".join(filter(None, above))
    return found


@dataclass(frozen=True)
class Change:
    """A subclass of CPC or IPC that the table of titles does not have, and its relatives there.

    :param since: the first year of a subclass that is newer than the table; None if it is older.
    :param until: the last year of one that was deleted; None if that is not certain.
    :param related: where its subject matter went, or was before; empty if that is not certain.
    """

    code: str
    since: str | None
    until: str | None
    related: tuple[str, ...]

    def __str__(self) -> str:
        related = ", ".join(self.related)
        if self.since:
            return f"is newer than the table of the CPC here (since {self.since}; before {related})"
        facts = [f"until {self.until}"] if self.until else []
        facts += [f"now {related}"] if related else []
        return "is no longer in the CPC" + (f" ({'; '.join(facts)})" if facts else "")


_UNKNOWN = "is no code of the CPC, nor a known former one"


@cache
def changes() -> dict[str, Change]:
    """The known subclasses that the scheme had before its table of titles, or has had since.

    Of the lists of deleted and new subclasses of the revisions of IPC and CPC, those that are
    certain; there are others.
    """
    table = resources.files("patclass.cpc") / "changes.tsv"
    lines = table.read_text(encoding="utf-8").splitlines()[1:]
    cells = (line.split("\t") for line in lines)
    return {
        code: Change(code, since or None, until or None, tuple(related.split()))
        for code, since, until, related in cells
    }


def absence_of(code: str) -> str | None:
    """Why a code, as far as its subclass, is not in the scheme; None if it is."""
    path = code_path(code)[:SUBCLASS_DEPTH]
    if path[-1] in titles():
        return None
    change = changes().get(path[-1])
    return str(change) if change else _UNKNOWN


def official_title(code: str) -> str | None:
    """The title of a code, from the tables here; None where they have none.

    That of a subgroup is what it adds to its main group, dot by dot: ``Spades; Shovels › with
    teeth``.
    """
    if code in titles() or code[:4] not in titles():
        return titles().get(code)
    return _groups_of(code[:4]).get(code) or None


def title_of(code: str) -> str:
    """The title of a code, or the code itself where the tables have none."""
    return official_title(code) or code


SECTIONS = {code: title for code, title in titles().items() if len(code) == 1}

# The first word tells the sections apart in every spelling met so far, "Lightning" for
# "Lighting" in ccdv/patent-classification included.
_BY_FIRST_WORD = {name.split()[0].strip(";").lower(): code for code, name in SECTIONS.items()}


def section_of(name: str) -> str | None:
    """The section letter that ``name`` stands for: its letter, or its title in any spelling."""
    words = name.strip().split()
    if not words:
        return None
    if name.strip().upper() in SECTIONS:
        return name.strip().upper()
    first = words[0].strip(";,:.").lower()
    return _BY_FIRST_WORD.get(first) if len(words) > 1 or len(first) > 6 else None


# Codes that a message offers instead of one that does not exist.
OFFERED = 5

# A whole document pasted by mistake need not come back in the message.
_QUOTED = 40


def parse_code(text: str) -> str:
    """The code that ``text`` names, as deep as it goes: ``a61k 31/7036`` is ``A61K31/7036``.

    A main group ends with ``/00``. Groups are not looked up: the CPC has several times as many as
    the table, and new ones every year, so any group of a known subclass is accepted.

    :raises DataError: if it is no CPC symbol, or names a class or subclass that does not exist.
    """
    symbol = Symbol.parse(text)
    if symbol is None:
        raise DataError(
            f"{_quote(text)} is not a CPC symbol; give a section (A to H or Y), class, subclass or "
            "group such as A, A61, A61K or A61K31/00."
        )
    path = symbol.path[:SUBCLASS_DEPTH]
    known = [code for code in path if code in titles()]
    if len(known) < len(path):
        raise DataError(_unknown(path, known))
    return symbol.text


def path_titles(code: str) -> tuple[tuple[str, str], ...]:
    """Codes and titles from the section down to ``code``, which may be typed in any way.

    A group without a title is called by its code; those above it say what it is about.

    :raises DataError: as for :func:`parse_code`.
    """
    return tuple((part, title_of(part)) for part in code_path(parse_code(code)))


def _unknown(path: tuple[str, ...], known: list[str]) -> str:
    """What is wrong with a path of which only ``known`` exists, at least its section."""
    if path[-1] in changes():
        return f"{path[-1]} {changes()[path[-1]]}."
    missing, parent = path[len(known)], known[-1]
    children = [code for code in titles() if list(code_path(code)[:-1]) == known]
    # Numbers and letters both count up along the scheme, so the nearest are likely meant.
    nearest = sorted(children, key=lambda code: abs(_rank(code) - _rank(missing)))[:OFFERED]
    offered = ", ".join(sorted(nearest)) + (", …" if len(children) > OFFERED else "")
    return f"{path[-1]} {_UNKNOWN}; {parent} has {offered}."


def _rank(code: str) -> int:
    """The position of a code among its siblings."""
    return int(code[1:]) if len(code) == len("A61") else ord(code[-1])


def _quote(text: str) -> str:
    return repr(text if len(text) <= _QUOTED else text[:_QUOTED] + "…")
