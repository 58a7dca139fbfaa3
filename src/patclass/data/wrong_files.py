"""Files that are no tables of patents, told by their beginning or their columns. Reads no rows.

A wrong file is refused with what it is and what to do, instead of answers that mean nothing.
"""

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from patclass.core.errors import DataError
from patclass.data.columns import columns_by_role, fold

ZIP = b"PK\x03\x04"
COMPOUND = b"\xd0\xcf\x11\xe0"  # of older Office files, and of encrypted new ones

_TABLE = "give a table of patents as CSV or XLSX"

# How files of other kinds begin, what they are, and what to do.
_BEGINNINGS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x89PNG", "a picture (PNG)", _TABLE),
    (b"\xff\xd8\xff", "a picture (JPEG)", _TABLE),
    (b"GIF8", "a picture (GIF)", _TABLE),
    (b"II*\x00", "a picture (TIFF)", _TABLE),
    (b"MM\x00*", "a picture (TIFF)", _TABLE),
    (b"{\\rtf", "a text document (RTF)", _TABLE),
    (b"\x1f\x8b", "packed with gzip", "add .gz to its name"),
    (b"7z\xbc\xaf", "packed with 7-Zip", "unpack it"),
    (b"Rar!", "packed with RAR", "unpack it"),
    (b"SQLite format 3", "a database (SQLite)", "export the table as CSV"),
)

_HTML = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)?<(!doctype html|html|head|body|table)\b",
    re.IGNORECASE | re.DOTALL,
)

# Names of columns, folded, that exports of scientific literature have and those of patents do not.
_SCHOLARLY = {
    *("publication_type", "source_title", "journal", "journal_title", "issn", "issns", "eissn"),
    *("pmid", "pmcid", "pubmed_id", "doi", "mesh_terms", "fields_of_study", "author_keywords"),
    *(
        "microsoft_academic_id",
        "citing_works_count",
        "conference",
        "isbn",
        "authors_with_affiliations",
    ),
}
_OF_PATENTS = {"jurisdiction", "kind", "applicants", "assignee", "inventors", "display_key"}


def check_content(path: Path, sample: bytes) -> None:
    """Check that a file may be a table, by its beginning.

    :raises DataError: if it is a file of another kind under the name of a table.
    """
    for beginning, kind, remedy in _BEGINNINGS:
        if sample.startswith(beginning):
            raise DataError(f"{path} is {kind}, not a table; {remedy}.")
    if _HTML.match(sample[:10_000]):
        raise DataError(
            f"{path} is an HTML page, not a table. If a browser shows a table in it, open it in a "
            "spreadsheet program and save it as XLSX; if it shows a message, download the file "
            "again."
        )


def check_text(path: Path, sample: bytes) -> None:
    """Check that the beginning of a file in a single-byte encoding or UTF-8 is text.

    :raises DataError: if it has many characters that no text has.
    """
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    if len(sample) > 2000 and controls > len(sample) / 20:
        raise DataError(f"{path} is not text but a binary file; {_TABLE}.")


_CONTROLS = bytes({*range(32)} - set(b"\t\n\v\f\r\x1b\x1f"))


def check_workbook(path: Path, file: BinaryIO) -> bool:
    """Check that a file can be a workbook; return whether it has macros.

    :raises DataError: if it is a file of another kind, or protected by a password.
    """
    beginning = file.read(1000)
    file.seek(0)
    if beginning.startswith(ZIP):
        return _check_zip(path, file)
    if beginning.startswith(COMPOUND):
        return _check_compound(path, file)
    if beginning and not beginning.translate(None, bytes(range(32, 256)) + b"\t\r\n"):
        raise DataError(
            f"{path} is text, not a workbook; change the end of its name to .csv or .tsv."
        )
    return False


def _check_zip(path: Path, file: BinaryIO) -> bool:
    try:
        names = zipfile.ZipFile(file).namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return False  # who opens the workbook says that it is damaged
    finally:
        file.seek(0)
    for folder, kind in (("word/", "a text document (DOCX)"), ("ppt/", "slides (PPTX)")):
        if any(name.startswith(folder) for name in names):
            raise DataError(f"{path} is {kind}, not a workbook; {_TABLE}.")
    if not any(name.startswith("xl/") or name == "content.xml" for name in names):
        found = ", ".join(names[:5])
        raise DataError(
            f"{path} is a packed folder ({found}), not a workbook; change the end of its name to "
            ".zip, or unpack it."
        )
    return any(name.endswith("vbaProject.bin") for name in names)


def _check_compound(path: Path, file: BinaryIO) -> bool:
    """Read the directory of a compound file, at a place that its head names."""
    head = file.read(512)
    size = 1 << int.from_bytes(head[30:32], "little") if head[30:32] in (b"\t\0", b"\f\0") else 512
    file.seek((int.from_bytes(head[48:52], "little") + 1) * size)
    directory = file.read(8 * 4096)
    file.seek(0)
    streams = {name for name in _STREAMS if name.encode("utf-16-le") in directory}
    if "EncryptedPackage" in streams:
        raise DataError(f"{path} is protected by a password; save it without one.")
    if "WordDocument" in streams:
        raise DataError(f"{path} is a text document (DOC), not a workbook; {_TABLE}.")
    return "_VBA_PROJECT" in streams


_STREAMS = ("EncryptedPackage", "WordDocument", "_VBA_PROJECT")


def check_columns(path: Path, columns: Sequence[str]) -> None:
    """Check that a table may be one of patents, by its columns.

    :raises DataError: if they are those of an export of scientific literature.
    """
    by_name = {fold(column): column for column in columns}
    found = [by_name[name] for name in by_name if name in _SCHOLARLY]
    roles = columns_by_role(columns)
    if len(found) < 3 or roles.keys() & {"cpc", "ipc", "main_code"} or by_name.keys() & _OF_PATENTS:
        return
    raise DataError(
        f"{path} lists scientific publications, not patents, as its columns "
        f"{', '.join(map(repr, found[:4]))} show. In Lens, choose 'Patents' instead of 'Scholarly "
        "Works' before you export; in other databases, export a list of patents with titles and "
        "abstracts."
    )
