"""The text of a document that a person drops. Knows TXT and PDF."""

import io
from collections.abc import Iterator

from pypdf import PdfReader

from patclass.ui.problems import Trouble

SUFFIXES = ("pdf", "txt")

# As many characters as the service takes by default; no model reads so far.
MAX_CHARACTERS = 100_000


def text_of_document(name: str, content: bytes) -> str:
    """The text of a document by its name's suffix.

    :raises Trouble: if it is no such document, or holds no text.
    """
    suffix = name.rpartition(".")[2].lower()
    if suffix not in SUFFIXES:
        raise Trouble(
            "input", f"'{name}' is no PDF and no TXT file. Drop one of these, or paste the text."
        )
    text = _of_pdf(name, content) if suffix == "pdf" else _of_txt(name, content)
    if not text.strip():
        why = "It may be a scan: a picture of a text." if suffix == "pdf" else "It is empty."
        raise Trouble("input", f"No text was found in '{name}'. {why} Paste the text instead.")
    return text[:MAX_CHARACTERS]


def _of_txt(name: str, content: bytes) -> str:
    text = decoded(content)
    if text is None:
        raise Trouble(
            "input", f"'{name}' is no text in UTF-8. Save it as UTF-8, or paste the text."
        )
    return text


def decoded(content: bytes) -> str | None:
    """The text of a file in UTF-8, in UTF-16 with its mark, or from an old Windows; else None."""
    marked = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None


def _of_pdf(name: str, content: bytes) -> str:
    try:
        reader = PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Trouble("input", f"'{name}' is protected by a password. Paste its text instead.")
        return _up_to_limit(page.extract_text() for page in reader.pages)
    except Trouble:
        raise
    except Exception as problem:  # the library raises exceptions of many kinds
        raise Trouble(
            "input", f"'{name}' is damaged, or no PDF. Open it and paste its text instead."
        ) from problem


def _up_to_limit(pages: Iterator[str]) -> str:
    found = ""
    while len(found) < MAX_CHARACTERS and (page := next(pages, None)) is not None:
        found += page + "\n"
    return found
