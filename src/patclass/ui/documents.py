"""The text of a document that a person drops. Knows TXT and PDF."""

import io

from pypdf import PdfReader
from pypdf.errors import PyPdfError

from patclass.ui.problems import Trouble

SUFFIXES = ("pdf", "txt")

# As many pages as the service could read of, and no book.
MAX_PAGES = 300


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
    return text


def _of_txt(name: str, content: bytes) -> str:
    for encoding in (
        ("utf-8-sig", "utf-16")
        if content[:2] in (b"\xff\xfe", b"\xfe\xff")
        else ("utf-8-sig", "cp1252")
    ):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Trouble("input", f"'{name}' is not a text in UTF-8. Save it as UTF-8, or paste the text.")


def _of_pdf(name: str, content: bytes) -> str:
    try:
        reader = PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Trouble("input", f"'{name}' is protected by a password. Paste its text instead.")
        return "\n".join(page.extract_text() for page in reader.pages[:MAX_PAGES])
    except (PyPdfError, ValueError, KeyError, TypeError, RecursionError) as problem:
        raise Trouble(
            "input", f"'{name}' is damaged, or no PDF. Open it and paste its text instead."
        ) from problem
