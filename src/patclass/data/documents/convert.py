"""Patent documents of any number of files made into one Parquet table. Knows no models.

Work is kept in parts next to the table, so that an interrupted conversion goes on where it was.
Memory does not depend on the size of the files.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from patclass.core.errors import DataError, OutputError
from patclass.core.files import atomic_write, check_writable, write_json
from patclass.core.types import OnProgress
from patclass.data.documents import documents_of_raw, forms_of
from patclass.data.documents.document import COLUMNS, TABLE_FORMAT, Document, RejectedDocument
from patclass.data.documents.split import RawDocument, raw_documents

_CODE = pa.struct(
    {
        "code": pa.string(),
        "first": pa.bool_(),
        "inventive": pa.bool_(),
        "scheme": pa.string(),
        "version": pa.string(),
    }
)
# Parquet names the parts of a list so.
_TYPES = {
    "claims": pa.list_(pa.field("element", pa.string())),
    "codes": pa.list_(pa.field("element", _CODE)),
}
SCHEMA = pa.schema(
    [(column, _TYPES.get(column, pa.string())) for column in COLUMNS],
    metadata={"patclass.documents": TABLE_FORMAT},
)

# Characters of text after which a part is written; limits the memory.
_PART_CHARS = 12_000_000

_STATE = "state.json"

DAMAGED = "a damaged file; what follows in it is lost"


@dataclass
class _State:
    """How far a conversion is: so much of the file at ``file`` is in the parts.

    :param raw: the number of raw documents of that file.
    """

    sources: list[list[Any]]
    file: int = 0
    raw: int = 0
    parts: int = 0
    documents: int = 0
    rejects: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ConvertResult:
    """What a conversion has done.

    :param rejects: documents that were left out, by reason.
    :param ignored: files that hold no patent documents.
    :param damaged: whether a file could not be read to its end.
    :param resumed: documents that an earlier, interrupted run had converted or left out.
    """

    documents: int
    rejects: dict[str, int]
    ignored: tuple[Path, ...]
    resumed: int = 0
    damaged: bool = False


def convert(
    sources: Sequence[Path],
    target: Path,
    restart: bool = False,
    on_progress: OnProgress = lambda documents: None,
) -> ConvertResult:
    """Write the documents of files, archives and folders to a table with ``SCHEMA``.

    Documents that are left out are listed in ``rejects_path(target)``, a line each.

    :param restart: begin again instead of going on with an interrupted conversion.
    :param on_progress: called with the number of further documents that were read.
    :raises DataError: if a source is missing, or none holds a patent document.
    :raises OutputError: if the target cannot be written, or parts of another conversion are there.
    """
    if target.suffix.lower() != ".parquet":
        raise DataError(f"{target}: the table is written as Parquet; give it the suffix .parquet.")
    check_writable(target)
    files, ignored = _files(sources)
    folder = _folder(target)
    if restart:
        shutil.rmtree(folder, ignore_errors=True)
    state = _load(folder, files)
    resumed = state.documents + sum(state.rejects.values())
    on_progress(resumed)
    for part in _parts(files, state):
        _write_part(folder, state, part)
        on_progress(len(part.documents) + len(part.rejects))
    _merge(folder, state, target)
    damaged = DAMAGED in state.rejects
    return ConvertResult(state.documents, state.rejects, tuple(ignored), resumed, damaged)


def rejects_path(target: Path) -> Path:
    """Where the documents that were left out are listed, as JSON lines."""
    return target.with_suffix(".rejects.jsonl")


def _folder(target: Path) -> Path:
    return target.with_name(f"{target.name}.parts")


def _files(sources: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """The files of documents, those of folders in the order of their names, and the others."""
    found: list[Path] = []
    ignored: list[Path] = []
    for source in sources:
        inside = sorted(path for path in source.rglob("*") if path.is_file())
        for path in inside if source.is_dir() else [source]:
            (found if _may_hold_documents(path) else ignored).append(path)
    if not found:
        names = ", ".join(map(str, ignored[:5])) or ", ".join(map(str, sources))
        raise DataError(
            f"no patent documents in {names}. Expected XML, SGML, Green Book text or JSON of an "
            "office, or PDF, also packed as .zip, .gz or .tar."
        )
    return found, ignored


def _may_hold_documents(path: Path) -> bool:
    """Whether a file has documents, or is damaged, which is said when it is read."""
    try:
        return any(form is not None for _, form in forms_of(path))
    except DataError:
        if not path.is_file():
            raise
        return True


def _load(folder: Path, files: Sequence[Path]) -> _State:
    """The state of an interrupted conversion of the same files, or that of a new one."""
    stats = ((path, path.stat()) for path in files)
    sources = [[str(path.resolve()), stat.st_size, stat.st_mtime_ns] for path, stat in stats]
    try:
        state = _State(**json.loads((folder / _STATE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return _State(sources)
    except (OSError, ValueError, TypeError) as problem:
        raise OutputError(
            f"{folder} is damaged ({problem}); begin again with restart.", setting="restart"
        ) from problem
    if state.sources != sources:
        raise OutputError(
            f"{folder} belongs to a conversion of other files, or these have changed; convert the "
            "same files, or begin again with restart.",
            setting="restart",
        )
    return state


@dataclass
class _Part:
    """Documents that are written together, and up to where they were read."""

    file: int = 0
    raw: int = 0
    documents: list[Document] = field(default_factory=list)
    rejects: list[dict[str, str]] = field(default_factory=list)


def _parts(files: Sequence[Path], state: _State) -> Iterator[_Part]:
    part, size = _Part(), 0
    for file, number, raw in _raw_after(files, state.file, state.raw):
        for document in documents_of_raw(raw):
            if isinstance(document, RejectedDocument):
                reject = {"source": raw.source, **vars(document)}
                part.rejects.append({key: value for key, value in reject.items() if value})
                continue
            part.documents.append(document)
            size += len(document.description) + sum(map(len, document.claims))
        part.file, part.raw = file, number
        if size > _PART_CHARS or len(part.rejects) > 10_000:
            yield part
            part, size = _Part(), 0
    if part.documents or part.rejects:
        yield part


def _raw_after(
    files: Sequence[Path], first: int, done: int
) -> Iterator[tuple[int, int, RawDocument]]:
    """File, number and content of each raw document that is not done."""
    for file in range(first, len(files)):
        for number, raw in enumerate(_raw_or_damaged(files[file]), 1):
            if file > first or number > done:
                yield file, number, raw


def _raw_or_damaged(path: Path) -> Iterator[RawDocument]:
    """The raw documents of a file; if it is damaged, the last one says so."""
    try:
        yield from raw_documents(path)
    except DataError:
        yield RawDocument(path.name, "XML", error=DAMAGED)


def _write_part(folder: Path, state: _State, part: _Part) -> None:
    """Write a part, then the state that counts it: what the state does not count is overwritten."""
    folder.mkdir(exist_ok=True)
    rows = pa.Table.from_pylist([document.fields() for document in part.documents], schema=SCHEMA)
    with atomic_write(_part_path(folder, state.parts)) as partial:
        pq.write_table(rows, partial, compression="zstd")
    lines = (json.dumps(reject, ensure_ascii=False) + "\n" for reject in part.rejects)
    with atomic_write(_part_path(folder, state.parts).with_suffix(".jsonl")) as partial:
        partial.write_text("".join(lines), encoding="utf-8")
    state.file, state.raw, state.parts = part.file, part.raw, state.parts + 1
    state.documents += len(part.documents)
    counts = Counter(state.rejects) + Counter(reject["reason"] for reject in part.rejects)
    state.rejects = dict(counts.most_common())
    with atomic_write(folder / _STATE) as partial:
        write_json(partial, asdict(state))


def _part_path(folder: Path, number: int) -> Path:
    return folder / f"part-{number:05}.parquet"


def _merge(folder: Path, state: _State, target: Path) -> None:
    """Join the parts, and remove them."""
    parts = [_part_path(folder, number) for number in range(state.parts)]
    with (
        atomic_write(rejects_path(target)) as partial,
        partial.open("w", encoding="utf-8") as file,
    ):
        for part in parts:
            file.write(part.with_suffix(".jsonl").read_text(encoding="utf-8"))
    with (
        atomic_write(target) as partial,
        pq.ParquetWriter(partial, SCHEMA, compression="zstd") as writer,
    ):
        for part in parts:
            with pq.ParquetFile(part) as rows:
                for batch in rows.iter_batches(batch_size=500):
                    writer.write_batch(batch)
    shutil.rmtree(folder)
