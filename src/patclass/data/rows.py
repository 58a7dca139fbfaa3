"""Tables of patents in files of any usual format, one row at a time. Knows no labels.

Patent documents of offices are tables too, with a row for each document. Encoding, delimiter,
header, sheet and the meaning of columns are recognised. A row that cannot be read comes out as a
row with an error, in its place, so that nothing vanishes and one bad row does not end a long job.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

from patclass.core.errors import DataError
from patclass.data.columns import MAX_COLUMNS, columns_by_role, rivals
from patclass.data.delimited import Dialect, recognise
from patclass.data.documents import DOCUMENT_COLUMNS, Document, forms_of, read_documents
from patclass.data.encoding import SAMPLE, is_wide
from patclass.data.formats import (
    DOCUMENTS,
    JSON,
    PACKED,
    SHEETS,
    TABLE_SUFFIXES,
    TABLES,
    estimated_records,
    is_nameless,
    is_packed_table,
    opened,
    seekable,
    table_suffix,
)
from patclass.data.json_rows import is_json, json_table
from patclass.data.parquet import parquet_table
from patclass.data.records import Doubts, read_records
from patclass.data.sheets import read_sheet
from patclass.data.table import RECOGNISED, Row, Table, TableOptions, check_stated
from patclass.data.wrong_files import (
    COMPOUND,
    ZIP,
    check_columns,
    check_content,
    check_text,
    check_workbook,
)

# Rows by which it is seen whether a column is empty.
_FIRST_ROWS = 100


def open_table(path: Path, options: TableOptions = RECOGNISED) -> Table:
    """Recognise a table: CSV, TSV, XLSX, XLS, ODS, JSON, JSONL or Parquet, also as .gz or .zip.

    A file or archive of patent documents, such as the weekly files of the USPTO, is one as well.

    :param options: what overrules the recognition.
    :raises DataError: if the file is missing, empty, corrupt, without columns or of an unknown
        format, or an option does not fit it.
    """
    table = _with_roles(_recognise(path, options), options.columns)
    options.check(f"{path.name}, {table.form}", table.options)
    if not table.columns:
        raise DataError(f"{path} has no columns; expected named fields such as text or title.")
    check_columns(path, table.columns)
    return table


def _with_roles(table: Table, stated: Mapping[str, str]) -> Table:
    if len(table.columns) > MAX_COLUMNS:
        raise DataError(
            f"{table.path} has {len(table.columns):,} columns; expected at most {MAX_COLUMNS:,}. "
            "Leave out those that are no text of patents."
        )
    check_stated(table.path.name, table.columns, stated)
    roles = columns_by_role(table.columns, stated, _empty_columns(table))
    return replace(table, roles=roles, stated=tuple(stated))


def _empty_columns(table: Table) -> set[str]:
    """Of the columns with the same role, those that are empty in the first rows."""
    several = set(rivals(table.columns))
    if not several:
        return several
    first = [row.fields for row in islice(table.read(several), _FIRST_ROWS)]
    filled = {name for name in several for row in first if row.get(name) not in (None, "", [])}
    return several - filled


def _recognise(path: Path, options: TableOptions) -> Table:
    form = _form_of_documents(path) if path.is_file() else None
    if form is not None:
        read = partial(_read_documents, path)
        return Table(path, DOCUMENT_COLUMNS, {}, form, read)
    suffix = table_suffix(path.name)
    if suffix not in (*TABLES, ".zip") and not is_nameless(path.name):
        what = "holds no patent document" if suffix in DOCUMENTS else "is no known format"
        raise DataError(
            f"{path}: '{suffix or path.name}' {what}; use {', '.join(TABLE_SUFFIXES)}, also "
            f"packed as {' or '.join(PACKED)}."
        )
    with opened(path) as (name, file):
        sample = file.read(SAMPLE)
    if not sample:
        raise DataError(f"{path} is empty; expected a header and at least one row.")
    suffix = table_suffix(name)
    check_content(path, sample)
    if sample.startswith(b"PAR1") or suffix == ".parquet":
        return parquet_table(path)
    if sample.startswith((ZIP, COMPOUND)) or suffix in SHEETS:
        return _sheet_table(path, options.sheet)
    if suffix in JSON or (options.delimiter is None and is_json(sample)):
        return json_table(path, sample)
    return _delimited_table(path, sample, suffix, options)


def _form_of_documents(path: Path) -> str | None:
    """In words, how the patent documents of a file are written; None if it holds none.

    A table that is packed with PDFs is what is meant; one that is packed with other documents, as
    lists of their contents are, is not read.
    """
    files = list(forms_of(path))
    forms = list(dict.fromkeys(form for _, form in files if form is not None))
    tables = [name for name, form in files if form is None and is_packed_table(name)]
    if not forms or (forms == ["PDF"] and tables):
        return None
    ignored = f", {', '.join(tables[:3])} not read" if tables else ""
    return f"patent documents in {' and '.join(forms)}{ignored}"


def columns_of(path: Path) -> list[str]:
    """The columns and roles of a file (of JSON: all keys of its first 100 rows).

    :raises DataError: if the file is missing, empty or broken.
    """
    return open_table(path).names


def read_rows(path: Path, wanted: Collection[str] | None = None) -> Iterator[Row]:
    """Stream the rows of a table in their order.

    :param wanted: the only columns or roles that are needed.
    :raises DataError: if the file is missing, empty, corrupt or of an unknown format.
    """
    return _with_roles(_recognise(path, RECOGNISED), {}).rows(wanted)


def _delimited_table(path: Path, sample: bytes, suffix: str, options: TableOptions) -> Table:
    encoding, delimiter = options.encoding, options.delimiter
    dialect = recognise(sample, suffix, encoding=encoding, delimiter=delimiter)
    if not is_wide(dialect.encoding) and encoding is None:
        check_text(path, sample)
    doubts = Doubts()
    read = partial(_read_delimited, path, dialect, doubts)
    estimate = partial(estimated_records, path, lambda file: read_records(file, dialect))
    form = f"read as {dialect}"
    return Table(
        path=path,
        columns=dialect.columns,
        roles={},
        form=form,
        read=read,
        options=("delimiter", "encoding"),
        estimate=estimate,
        doubts=doubts.notes,
    )


def _read_delimited(
    path: Path, dialect: Dialect, doubts: Doubts, wanted: Collection[str] | None
) -> Iterator[Row]:
    names = [name for name in dialect.columns if wanted is None or name in wanted]
    place_of = {name: place for place, name in enumerate(dialect.columns)}
    places = [place_of[name] for name in names]
    whole = len(names) == len(dialect.columns)
    doubts.clear()
    with opened(path) as (_, file):
        for number, record in enumerate(read_records(file, dialect), 1):
            if record.doubt is not None:
                doubts.add(record)
            cells = record.cells if whole else [record.cells[place] for place in places]
            yield Row(number, dict(zip(names, cells, strict=True)), record.error, record.line)


def _read_documents(path: Path, wanted: Collection[str] | None) -> Iterator[Row]:
    for number, document in enumerate(read_documents(path, wanted), 1):
        if isinstance(document, Document):
            yield Row(number, document.fields())
        else:
            known = dict.fromkeys(DOCUMENT_COLUMNS) | {"id": document.id}
            yield Row(number, known, str(document))


def _sheet_table(path: Path, wanted: str | None) -> Table:
    with seekable(path) as (_, file):
        has_macros = check_workbook(path, file)
    sheet = read_sheet(path, wanted)

    def read(wanted: Collection[str] | None) -> Iterator[Row]:
        for number, (line, fields) in enumerate(sheet.rows(), 1):
            yield Row(number, fields, None, line)

    form = f"read from {sheet.form}" + (", macros not run" if has_macros else "")
    return Table(
        path=path,
        columns=sheet.columns,
        roles={},
        form=form,
        read=read,
        options=("sheet",),
        sheets=sheet.names,
        estimate=lambda: sheet.count,
    )
