"""Patent documents as offices publish them, one at a time. Knows no labels and no models."""

from collections.abc import Collection, Iterator
from io import BytesIO
from pathlib import Path

from patclass.data.documents.document import COLUMNS as DOCUMENT_COLUMNS
from patclass.data.documents.document import Document, RejectedDocument
from patclass.data.documents.greenbook import read_greenbook
from patclass.data.documents.odp import read_odp
from patclass.data.documents.records import (
    Record,
    damage_named,
    first_form,
    read_records,
    split_file,
)
from patclass.data.documents.xml import read_xml

__all__ = [
    "DOCUMENT_COLUMNS",
    "Document",
    "RejectedDocument",
    "documents_of",
    "first_form",
    "read_documents",
]


def read_documents(
    path: Path, columns: Collection[str] | None = None
) -> Iterator[Document | RejectedDocument]:
    """Stream the documents of a file or archive; memory does not depend on its size.

    :param columns: the fields of ``Document`` that are needed; others may be empty.
    :raises DataError: if the file cannot be read or is damaged.
    """
    for record in read_records(path):
        yield from documents_of_record(record, columns)


def documents_of(content: bytes, name: str = "") -> Iterator[Document | RejectedDocument]:
    """The documents of a file or archive in memory; none if it holds no patent documents.

    :param name: of the file, for archives, and for a document that states no number.
    :raises DataError: if it is damaged.
    """
    with damage_named(name):
        for record in split_file(name, BytesIO(content)):
            yield from documents_of_record(record)


def documents_of_record(
    record: Record, columns: Collection[str] | None = None
) -> Iterator[Document | RejectedDocument]:
    """Read one record, which of some formats has several documents."""
    try:
        if record.error is not None:
            yield RejectedDocument(record.source, record.error)
        elif record.form == "XML":
            yield read_xml(record.content, columns)
        elif record.form == "Green Book":
            yield read_greenbook(record.content)
        elif record.form == "PDF":
            # Where no PDF is read, its library need not be there.
            from patclass.data.documents.pdf import read_pdf

            yield read_pdf(record.content, record.source)
        else:
            yield from read_odp(record.content)
    except ValueError as problem:
        yield RejectedDocument(record.source, str(problem))
