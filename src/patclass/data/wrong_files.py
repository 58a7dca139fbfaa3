"""Files that are no tables of patents, told by their beginning or their columns. Reads no rows.

A wrong file is refused with what it is and what to do, instead of answers that mean nothing.
"""

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import BinaryIO

from patclass.core.errors import DataError
from patclass.data.columns import columns_by_role, fold
from patclass.data.packed import damage_named, zip_of

ZIP = b"PK\x03\x04"
COMPOUND = b"\xd0\xcf\x11\xe0"  # of older Office files, and of encrypted new ones

_TABLE = "give a table of patents as CSV or XLSX"
_EXPORT = "export the table as CSV"
_PARQUET = "save it as Parquet or CSV"

# How files of other kinds begin, what they are, and what to do.
_BEGINNINGS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x89PNG", "a picture (PNG)", _TABLE),
    (b"\xff\xd8\xff", "a picture (JPEG)", _TABLE),
    (b"GIF8", "a picture (GIF)", _TABLE),
    (b"II*\x00", "a picture (TIFF)", _TABLE),
    (b"MM\x00*", "a picture (TIFF)", _TABLE),
    (b"BM", "a picture (BMP)", _TABLE),
    (b"8BPS", "a picture (PSD)", _TABLE),
    (b"\x1aE\xdf\xa3", "a film (Matroska)", _TABLE),
    (b"ID3", "a sound (MP3)", _TABLE),
    (b"{\\rtf", "a text document (RTF)", _TABLE),
    (b"\x1f\x8b", "packed with gzip", "add .gz to its name"),
    (b"\xfd7zXZ\0", "packed with XZ", "unpack it"),
    (b"\x28\xb5\x2f\xfd", "packed with Zstandard", "unpack it"),
    (b"7z\xbc\xaf", "packed with 7-Zip", "unpack it"),
    (b"Rar!", "packed with RAR", "unpack it"),
    (b"\x89HDF\r\n\x1a\n", "data in HDF5", _EXPORT),
    (b"\x93NUMPY", "data of NumPy (NPY)", _EXPORT),
    (b"ARROW1", "a table in Feather or Arrow", _PARQUET),
    (b"ORC", "a table in ORC", _PARQUET),
    (b"Obj\x01", "a table in Avro", _PARQUET),
    (b"SQLite format 3", "a database (SQLite)", _EXPORT),
)

# The same, where what is said of them stands some bytes later.
_PARTS: tuple[tuple[re.Pattern[bytes], str, str], ...] = (
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "a picture (WebP)", _TABLE),
    (re.compile(rb"....ftyp(hei|hev|mif|msf)", re.DOTALL), "a picture (HEIC)", _TABLE),
    (re.compile(rb"....ftypavi", re.DOTALL), "a picture (AVIF)", _TABLE),
    (re.compile(rb"....ftyp", re.DOTALL), "a film (MP4)", _TABLE),
    (re.compile(rb"BZh[1-9]1AY&SY"), "packed with bzip2", "unpack it"),
    (re.compile(rb"\x80[\x02-\x05]"), "a pickle of Python", _EXPORT),
)

_DECLARATION, _COMMENTS = rb"(\xef\xbb\xbf)?\s*(<\?xml.*?\?>\s*)?", rb"(<!--.*?-->\s*)*"
_HTML = re.compile(
    _DECLARATION + _COMMENTS + rb"<(!doctype html|html|head|body|table)\b",
    re.IGNORECASE | re.DOTALL,
)
_SVG = re.compile(
    _DECLARATION + rb"(<!doctype[^>]*>\s*)?" + _COMMENTS + rb"<svg\b", re.IGNORECASE | re.DOTALL
)

# How exports of literature in tagged text begin, after empty lines.
_TAGGED: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"TY  - \w+\s+(\w\w  - .*\s+)"), "RIS"),
    (re.compile(rb"(%.*\s+)*@\w+\s*\{\s*[^\s,{}]*,\s*\w+\s*="), "BibTeX"),
    (re.compile(rb"PMID- \d+\s"), "PubMed"),
    (re.compile(rb"FN .*\s+VR .*\s+PT "), "Web of Science"),
)

# Names of columns, folded, of lists of other things, which those of patents have few of.
_SCHOLARLY = {
    *("publication_type", "source_title", "journal", "journal_title", "issn", "issns", "eissn"),
    *("pmid", "pmcid", "pubmed_id", "doi", "mesh_terms", "fields_of_study", "author_keywords"),
    *("microsoft_academic_id", "citing_works_count", "conference", "isbn", "eid", "venue"),
    *("authors_with_affiliations", "authors", "cited_by", "citationcount", "citation_count"),
    *("cited_by_count", "paperid", "paper_id", "corpusid", "externalids", "arxiv_id", "arxiv"),
    *("primary_category", "journal_ref", "report_no", "submitter", "entry_id", "pdf_url"),
    *("cites", "gsrank", "articleurl", "citesurl", "article_url", "type_crossref"),
    *("authorships", "primary_location", "referenced_works", "open_access", "is_oa"),
    *("influentialcitationcount", "referencecount", "isopenaccess", "publicationvenue"),
}
_CONTACTS = {
    *("first_name", "last_name", "middle_name", "given_name", "family_name", "email", "e_mail"),
    *("email_address", "e_mail_address", "phone", "mobile_phone", "business_phone", "home_phone"),
    *("primary_phone", "company", "position", "connected_on", "job_title", "vorname", "nachname"),
    *("telefon", "firma", "prénom", "nom", "téléphone", "société", "e_mail_1_value"),
}
_TRADEMARKS = {
    *("mark", "trademark", "trade_mark", "trademark_name", "mark_name", "word_mark", "brand_name"),
    *("nice_class", "nice_classes", "nice_classification", "vienna_class", "mark_feature"),
    *("vienna_classification", "goods_and_services", "verbal_element"),
}
_DESIGNS = {
    *("locarno", "locarno_class", "locarno_classes", "locarno_classification", "design_number"),
    *("indication_of_product", "product_indication", "design_name", "design_title"),
}
_OF_PATENTS = {
    *("jurisdiction", "kind", "applicants", "assignee", "inventors", "display_key", "inventor"),
    *("applicant", "assignees", "publication_number", "patent_number", "patent_id", "claims"),
    *("inventor_author", "pn"),
}

# Of each kind of list: what it is, its columns, how many of them show it, the roles and columns
# which only patents have, and what to do.
_TEXTS = frozenset({"abstract", "claims", "description", "text"})
_OTHER_LISTS: tuple[tuple[str, AbstractSet[str], int, AbstractSet[str], str], ...] = (
    (
        "scientific publications",
        _SCHOLARLY,
        3,
        _OF_PATENTS,
        "In Lens, choose 'Patents' instead of 'Scholarly Works' before you export; in other "
        "databases, export a list of patents with titles and abstracts.",
    ),
    ("persons", _CONTACTS, 3, _TEXTS, "Give a table of patents as CSV or XLSX."),
    ("designs", _DESIGNS, 1, _TEXTS, "Designs have no CPC; export patents."),
    ("trademarks", _TRADEMARKS, 1, _TEXTS | {"title"}, "Trademarks have no CPC; export patents."),
)

# Columns of Web of Science, which is also a database of patents with other ones.
_WEB_OF_SCIENCE = {"pt", "au", "ti", "so"}


def check_content(path: Path, sample: bytes) -> None:
    """Check that a file may be a table, by its beginning.

    :raises DataError: if it is a file of another kind under the name of a table.
    """
    for beginning, kind, remedy in _BEGINNINGS:
        # Some are letters, with which a text may begin.
        if sample.startswith(beginning) and (not _is_word(beginning) or _is_binary(sample)):
            raise DataError(f"{path} is {kind}, not a table; {remedy}.")
    for pattern, kind, remedy in _PARTS:
        if pattern.match(sample[:1000]):
            raise DataError(f"{path} is {kind}, not a table; {remedy}.")
    start = sample[:10_000].removeprefix(b"\xef\xbb\xbf").lstrip()
    if _SVG.match(start):
        raise DataError(f"{path} is a picture (SVG), not a table; {_TABLE}.")
    for pattern, kind in _TAGGED:
        if pattern.match(start):
            raise DataError(f"{path} is a list of references in {kind}, not a table; {_TABLE}.")
    if _HTML.match(sample[:10_000]):
        raise DataError(
            f"{path} is an HTML page, not a table. If a browser shows a table in it, open it in a "
            "spreadsheet program and save it as XLSX; if it shows a message, download the file "
            "again."
        )


def _is_word(beginning: bytes) -> bool:
    return beginning in (b"BM", b"ID3", b"ORC", b"8BPS", b"ARROW1", b"GIF8", b"Rar!")


def _is_binary(sample: bytes) -> bool:
    """Whether a file has characters soon that no text has."""
    return len(sample[:64].translate(None, _CONTROLS)) < len(sample[:64])


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
        with damage_named(path), zip_of(file) as archive:
            names = archive.namelist()
    except DataError:
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

    :raises DataError: if they are those of a list of literature, persons, designs or trademarks.
    """
    by_name = {fold(column): column for column in columns}
    roles = columns_by_role(columns).keys()
    if roles & {"cpc", "ipc", "main_code"}:
        return
    for kind, names, least, of_patents, remedy in _OTHER_LISTS:
        found = [column for name, column in by_name.items() if name in names]
        if names is _SCHOLARLY and by_name.keys() >= _WEB_OF_SCIENCE:
            found += [by_name[name] for name in sorted(_WEB_OF_SCIENCE)]
        if len(found) >= least and not (roles | by_name.keys()) & of_patents:
            raise DataError(
                f"{path} lists {kind}, not patents, as its columns "
                f"{', '.join(map(repr, found[:4]))} show. {remedy}"
            )
