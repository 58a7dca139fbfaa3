"""The formats that a file of patents may have, by its name, and files unpacked. Reads no rows."""

import gzip
import io
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from patclass.core.errors import DataError
from patclass.data.encoding import SAMPLE
from patclass.data.packed import Allowance, damage_named, member_of, seekable_copy, zip_of

# Formats of files that are written.
FORMATS = (".csv", ".tsv", ".jsonl", ".parquet")

_DELIMITED = (".csv", ".tsv", ".txt", ".tab")
JSON = (".json", ".jsonl", ".ndjson")
SHEETS = (".xlsx", ".xlsm", ".xls", ".ods")
PACKED = (".gz", ".zip")
DOCUMENTS = (".xml", ".sgml", ".sgm", ".tar", ".tgz", ".pdf")
TABLES = (*_DELIMITED, *JSON, *SHEETS, ".parquet")
TABLE_SUFFIXES = (*TABLES, *DOCUMENTS)


def file_format(path: Path) -> str:
    """The suffix that decides how ``path`` is written.

    :raises DataError: if it is none of the formats.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise DataError(
            f"{path}: '{suffix or path.name}' is no known format; use {', '.join(FORMATS)}."
        )
    return suffix


def stem_of(path: Path) -> str:
    """The name of a file without its suffixes of format and packing."""
    name = Path(path.stem) if path.suffix.lower() in PACKED else path
    return name.stem if name.suffix.lower() in TABLE_SUFFIXES else name.name


def is_table(path: Path) -> bool:
    """Whether the name of a file is that of a table."""
    return table_suffix(path.name) in (*TABLE_SUFFIXES, ".zip")


def table_suffix(name: str) -> str:
    """The suffix of a name, without that of a packed file."""
    path = Path(name.lower())
    inner = Path(path.stem).suffix
    return inner if path.suffix in PACKED and inner in TABLE_SUFFIXES else path.suffix


def is_nameless(name: str) -> bool:
    """Whether a packed file has no suffix of its own, and its content says what it is."""
    path = Path(name.lower())
    return path.suffix == ".gz" and not Path(path.stem).suffix


def is_packed_table(name: str) -> bool:
    """Whether a file in an archive is a table, by its name; texts and JSON may be anything."""
    return Path(name.lower()).suffix in set(TABLES) - {".txt", ".json"}


@contextmanager
def opened(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    """The name and the content of a file, unpacked.

    :raises DataError: if it cannot be read, is damaged, or unpacks to far more than texts do.
    """
    with damage_named(path):
        allowance = Allowance(path, path.stat().st_size)
        if path.suffix.lower() == ".gz":
            with gzip.open(path) as file:
                yield path.stem, allowance.metered(cast(BinaryIO, file))
        elif path.suffix.lower() == ".zip":
            with zip_of(path) as archive:
                name = _only_table(path, archive)
                with member_of(archive, name) as file:
                    yield name, allowance.metered(file)
        else:
            with path.open("rb") as file:
                yield path.name, file


def _only_table(path: Path, archive: zipfile.ZipFile) -> str:
    names = [name for name in archive.namelist() if table_suffix(name) in TABLES]
    # Beside files, an Apple computer packs what it knows of them.
    names = [name for name in names if not re.search(r"^__MACOSX|(^|/)\.[^/]*$", name)]
    names = list(filter(is_packed_table, names)) or names  # a text may say what is packed
    if len(names) != 1:
        found = f"{len(names)} tables: {', '.join(names[:5])}" if names else "no table"
        raise DataError(f"{path} holds {found}; unpack it, and name one.")
    return names[0]


@contextmanager
def seekable(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    """The same as a file in which any place can be read."""
    with opened(path) as (name, file):
        if path.suffix.lower() not in PACKED:
            yield name, file
            return
        with seekable_copy(name, file) as copy:
            yield name, copy


def unpacked_size(path: Path) -> int:
    """The number of bytes of a file, unpacked."""
    size = path.stat().st_size
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path) as archive:
            return archive.getinfo(_only_table(path, archive)).file_size
    if path.suffix.lower() == ".gz":
        with path.open("rb") as file:
            file.seek(max(0, size - 4))
            # The size is stored modulo 4 GiB, and texts are not packed to a fiftieth.
            stored = int.from_bytes(file.read(), "little")
        return stored + (-(-(size - stored) // 2**32) << 32 if stored < size else 0)
    return size


def estimated_records(path: Path, read: Callable[[BinaryIO], Iterator[object]]) -> int:
    """The number of records, if those after the first megabyte are as long as those in it."""
    with opened(path) as (_, file):
        sample = file.read(SAMPLE)
    rows = sum(1 for _ in read(io.BytesIO(sample)))
    if len(sample) < SAMPLE:
        return rows
    return max(1, rows - 1) * unpacked_size(path) // len(sample)  # the last record is cut off
