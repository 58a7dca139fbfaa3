"""Write the titles of groups, src/patclass/cpc/groups.txt.xz, from a table of the IPC.

    python scripts/group_titles.py ../shared/data/ipc-titles.tsv.gz

The table has a row for each group with its symbol (``ipc``) and, as ``title``, the titles from the
main group down to it, separated by ``;;`` as are the parts of one title. It is that of
asgeissler/patent-data-explore (MIT); the text is the WIPO's.

The file has a line for each subclass with its groups in the order of the scheme: ``1`` is a main
group, ``02a`` its subgroup with one dot and ``04b`` one with two dots. After an empty line follow
their titles, one a line. Symbols and titles apart compress better than side by side, dots better
than titles of parents repeated, and xz better than bzip2 and zlib (docs/log.md, 2026-11-29).
"""

import argparse
import csv
import gzip
import lzma
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

OUT = Path(__file__).resolve().parents[1] / "src" / "patclass" / "cpc" / "groups.txt.xz"

# For text: high bits of the previous byte tell more than its place (xz(1): lc, lp, pb). To unpack
# takes as much memory as the dictionary, so it is no larger than the text.
FILTERS = [
    {
        "id": lzma.FILTER_LZMA2,
        "preset": 9 | lzma.PRESET_EXTREME,
        "dict_size": 1 << 23,
        "lc": 4,
        "lp": 0,
        "pb": 0,
    }
]

Titles = tuple[str, ...]


def main() -> None:
    """Read the arguments and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("table", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    text = packed(read(args.table))
    args.out.write_bytes(lzma.compress(text.encode(), check=lzma.CHECK_CRC32, filters=FILTERS))
    print(f"{args.out}: {args.out.stat().st_size:,} bytes")


def read(table: Path) -> dict[str, Titles]:
    """Parts of titles by symbol, those of the main group first."""
    with gzip.open(table, "rt", encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return {row["ipc"]: tuple(row["title"].split(";;")) for row in rows}


def packed(table: dict[str, Titles]) -> str:
    """The text of the file, of what ``read`` returns."""
    symbols: dict[str, list[str]] = defaultdict(list)
    titles = []
    for symbol, dots, parts in in_order(table):
        group, subgroup = symbol[4:].split("/")
        own = group if not dots else f"{subgroup}{chr(ord('a') + dots - 1)}"
        symbols[symbol[:4]].append(own)
        titles.append("; ".join(filter(None, map(plain, parts))))
    lines = (f"{subclass} {' '.join(groups)}" for subclass, groups in symbols.items())
    return "\n".join([*lines, "", *titles])


def in_order(table: dict[str, Titles]) -> Iterator[tuple[str, int, Titles]]:
    """Symbol, number of dots, and own parts of the title, each parent before its children."""
    children: dict[str | None, list[str]] = defaultdict(list)
    for group in by_group(table):
        first = {table[symbol]: symbol for symbol in reversed(group)}
        for symbol in group:
            children[parent_of(symbol, table, first)].append(symbol)
    waiting = [(symbol, 0, ()) for symbol in reversed(children[None])]
    while waiting:
        symbol, dots, above = waiting.pop()
        yield symbol, dots, table[symbol][len(above) :]
        below = reversed(children[symbol])
        waiting.extend((child, dots + 1, table[symbol]) for child in below)


def by_group(table: Iterable[str]) -> Iterable[list[str]]:
    """The symbols of each main group, that of the main group first."""
    groups: dict[str, list[str]] = defaultdict(list)
    for symbol in sorted(table, key=lambda symbol: (symbol[:4], group_number(symbol), symbol)):
        groups[symbol.partition("/")[0]].append(symbol)
    return groups.values()


def group_number(symbol: str) -> int:
    return int(symbol[4:].partition("/")[0])


def parent_of(symbol: str, table: dict[str, Titles], first: dict[Titles, str]) -> str | None:
    """The symbol with the longest title that this one's title continues; None of a main group.

    :param first: the first symbol of the main group by title.
    """
    if symbol.endswith("/00"):
        return None
    title = table[symbol]
    lengths = range(len(title) - (first[title] == symbol), 0, -1)
    return next(first[title[:length]] for length in lengths if title[:length] in first)


def plain(part: str) -> str:
    """A part of a title without the marks that references to other symbols left behind."""
    text = re.sub(r"\s+(?=[,;.)])", "", " ".join(part.split()))
    return re.sub(r"(\s*(,|\b(or|and)\b))+$", "", re.sub(r",(\s*,)+", ",", text))


if __name__ == "__main__":
    main()
