"""How fast files are read, compared with plain readers in the same run.

A table of a million patents is made from the shared ones in build/bench-read, once; a weekly file
of 200 MB and one of 2 GB are made of the shared grants of the USPTO, each with a number of its own.
"""

import csv
import re
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
PATENTS = ROOT / "build" / "patents"
FOLDER = ROOT / "build" / "bench-read"
GRANTS = ROOT.parent / "shared" / "files"
TABLE_ROWS = 1_000_000
WEEKS = {"week-200MB.xml": 200_000_000, "week-2GB.xml": 2_000_000_000}
REPEATS = 2
COLUMNS = ("id", "title", "abstract", "codes", "year")


def make_table(path: Path, rows: int) -> None:
    """A CSV of the shared training patents, repeated, with a bundle's usual columns."""
    patents = pq.read_table(PATENTS / "patents-train.parquet", columns=list(COLUMNS)).to_pylist()
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for patent in islice(cycle(patents), rows):
            writer.writerow(
                [*map(patent.get, COLUMNS[:3]), "; ".join(patent["codes"] or ()), patent["year"]]
            )
    partial.rename(path)


def patclass_rows(path: Path) -> int:
    """Recognised and streamed as for ``patclass classify``."""
    from patclass.data.rows import open_table

    return sum(1 for _ in open_table(path).rows())


def patclass_texts(path: Path) -> int:
    """The same for the columns of a text alone."""
    from patclass.data.rows import open_table

    return sum(1 for _ in open_table(path).rows(("id", "title", "abstract")))


def dict_reader(path: Path) -> int:
    """The reader of Python, told how the file is written."""
    with path.open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.DictReader(file))


def arrow_rows(path: Path) -> int:
    """Batches of Arrow made into dictionaries, told how the file is written."""
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    with pa.csv.open_csv(path, parse_options=parse) as batches:
        return sum(len(batch.to_pylist()) for batch in batches)


def make_week(path: Path, size: int) -> None:
    """A weekly file of the USPTO: the shared grants, repeated under other numbers."""
    grants = [path.read_bytes() for path in sorted(GRANTS.glob("uspto-grant-*.xml"))]
    numbers = [re.search(rb"<doc-number>(\d+)</doc-number>", grant) for grant in grants]
    partial, written, number = path.with_suffix(".partial"), 0, 10_000_000
    with partial.open("wb") as file:
        while written < size:
            for grant, old in zip(grants, numbers, strict=True):
                assert old is not None
                written += file.write(grant.replace(old[1], b"%d" % number))
                number += 1
    partial.rename(path)


def documents_for_classify(path: Path) -> int:
    """Title, abstract and claims, as ``patclass classify`` reads them."""
    from patclass.data.rows import open_table

    return sum(1 for _ in open_table(path).rows(("id", "title", "abstract", "claims")))


def documents_whole(path: Path) -> int:
    """Everything that ``patclass convert`` keeps of a document."""
    from patclass.data.documents import read_documents

    return sum(1 for _ in read_documents(path))


def converted(path: Path) -> int:
    """Made into a Parquet table."""
    from patclass.data.documents.convert import convert

    return convert([path], path.with_suffix(".parquet"), restart=True).documents


def parsed_only(path: Path) -> int:
    """Split at the XML declarations and parsed by lxml, nothing read: the least possible."""
    from lxml import etree

    parts = path.read_bytes().split(b"<?xml version")[1:]
    return sum(etree.fromstring(b"<?xml version" + part) is not None for part in parts)


READERS: dict[str, Callable[[Path], int]] = {
    "patclass, all columns": patclass_rows,
    "patclass, text columns": patclass_texts,
    "csv.DictReader": dict_reader,
    "pyarrow.csv, as dictionaries": arrow_rows,
    "documents, as for classify": documents_for_classify,
    "documents, all fields": documents_whole,
    "documents, patclass convert": converted,
    "lxml, parsed only": parsed_only,
}
TABLE_READERS = tuple(READERS)[:4]
DOCUMENT_READERS = tuple(READERS)[4:]


def peak_memory() -> float:
    """The most memory that this process has had, in MiB; not that of its parent."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def measure(name: str, path: Path) -> None:
    """Read a file in this process, and print how fast at best and in how much memory."""
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        rows = READERS[name](path)
        seconds.append(time.perf_counter() - began)
    speed = path.stat().st_size / 1e6 / min(seconds)
    figures = f"{rows:>12,} rows{min(seconds):>8.1f} s{speed:>6.0f} MB/s"
    figures += f"{rows / min(seconds):>9,.0f} rows/s"
    print(f"{name:30}{figures}{peak_memory():>6.0f} MiB")


def first_row(path: Path) -> None:
    """Print how long the first row takes."""
    from patclass.data.rows import open_table

    began = time.perf_counter()
    table = open_table(path)
    next(table.rows())
    rows = table.estimate()
    seconds = time.perf_counter() - began
    print(f"recognised, first row, estimate of {rows:,} rows: {seconds:.2f} s", flush=True)


def bench_table() -> None:
    """A CSV of a million rows by every reader, each in a process of its own."""
    path = FOLDER / "table.csv"
    if not path.is_file():
        make_table(path, TABLE_ROWS)
    print(f"table: {path.stat().st_size / 1e6:,.0f} MB")
    first_row(path)
    for name in TABLE_READERS:
        subprocess.run([sys.executable, __file__, name, str(path)], check=True)


def bench_documents() -> None:
    """Two weekly files, of which memory must not depend on the size."""
    for name, size in WEEKS.items():
        path = FOLDER / name
        if not path.is_file():
            make_week(path, size)
        print(f"{name}: {path.stat().st_size / 1e6:,.0f} MB", flush=True)
        for reader in DOCUMENT_READERS if size < 500_000_000 else DOCUMENT_READERS[:1]:
            subprocess.run([sys.executable, __file__, reader, str(path)], check=True)


def main() -> None:
    """Everything that is read; with a reader and a file, this alone."""
    if len(sys.argv) == 3:
        measure(sys.argv[1], Path(sys.argv[2]))
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    bench_table()
    bench_documents()


if __name__ == "__main__":
    main()
