"""The nearest labelled patents to a state of the model. Knows states and ids, no texts.

States are projected on their main directions and kept in eight bits a value, so that the
index of 20,000 patents is a megabyte and a half.
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, TypeAdapter, ValidationError
from safetensors.numpy import save

from patclass.core.errors import ModelError
from patclass.core.types import FloatArray
from patclass.cpc.tree import LabelTree
from patclass.predictor.arrays import Form, array_of, check_form, parse_arrays

if TYPE_CHECKING:
    from patclass.predictor.fitting import Fitting

DIRECTIONS = 64

# How far down the similarity of held-out texts to the index may go before a text is called
# unlike anything seen: one held-out text in a hundred is.
UNLIKE_SHARE = 0.01

_NAMES = ("mean", "directions", "vectors")

# Of a title so much is kept, and so many bytes are unpacked for each patent: several times what
# such a title takes beside number and codes. Packed, a gigabyte of one letter is a megabyte.
_TITLE_CHARS = 1000
_RECORD_BYTES = 8 * _TITLE_CHARS
_LEAST_BYTES = 2**20

_Row = tuple[str, str | None, tuple[str, ...]]
_STORED = TypeAdapter(tuple[float, list[_Row]], config=ConfigDict(allow_inf_nan=False))


@dataclass(frozen=True)
class Record:
    """A patent in the index: its number, its title if kept, its codes from coarse to fine."""

    id: str
    title: str | None
    codes: tuple[str, ...]


@dataclass(frozen=True)
class Neighbour:
    """A patent of the index with its similarity: the cosine, at most 1."""

    id: str
    title: str | None
    codes: tuple[str, ...]
    similarity: float


@dataclass(frozen=True)
class NeighbourIndex:
    """Training patents by their embeddings.

    :param mean: shape (hidden,).
    :param directions: float16 of shape (hidden, directions).
    :param vectors: int8 of shape (patents, directions), of about equal length.
    :param unlike: the similarity below which a text is unlike anything in the index.
    """

    FILE: ClassVar[str] = "neighbours.safetensors"
    REQUIRED: ClassVar[bool] = False

    mean: FloatArray
    directions: npt.NDArray[np.float16]
    vectors: npt.NDArray[np.int8]
    records: tuple[Record, ...]
    unlike: float

    @classmethod
    def fit(cls, fitting: "Fitting") -> "NeighbourIndex | None":
        """Index the training patents, or a stratified part of very many; None if switched off."""
        from patclass.data.examples import stratified
        from patclass.predictor.fitting import known_codes
        from patclass.predictor.pipeline import run_with_progress

        settings, rows = fitting.settings, fitting.corpus["train"]
        if not settings.index_rows:
            return None
        if len(rows) > settings.index_rows:
            strata = [row.stratum for row in rows]
            rows = [rows[i] for i in stratified(strata, settings.index_rows, fitting.seed)]
        encoder = fitting.encoder
        embeddings = run_with_progress(
            encoder, [row.text for row in rows], "indexing train"
        ).embeddings
        records = [
            Record(
                row.id,
                _short(row.facts.title) if settings.index_titles else None,
                known_codes(fitting.tree, row),
            )
            for row in rows
        ]
        inside = fitting.out_of_fold is not None
        return build_index(embeddings, records, fitting.validation.embeddings, inside)

    def nearest(self, embeddings: FloatArray, k: int) -> list[list[Neighbour]]:
        """The ``k`` nearest neighbours of each row of embeddings (rows, hidden), nearest first."""
        found = []
        for state in embeddings:
            similarity = self._unit_vectors @ self._project(state[None])[0]
            best = _largest(similarity, k)
            found.append([self._neighbour(int(i), float(similarity[i])) for i in best])
        return found

    @cached_property
    def _unit_vectors(self) -> FloatArray:
        return _unit(self.vectors.astype(np.float32))

    def _neighbour(self, position: int, similarity: float) -> Neighbour:
        record = self.records[position]
        return Neighbour(record.id, record.title, record.codes, similarity)

    def _project(self, embeddings: FloatArray) -> FloatArray:
        return _unit((embeddings - self.mean) @ self.directions.astype(np.float32))

    def save(self, folder: Path) -> None:
        """Write the index."""
        rows = [[record.id, record.title, list(record.codes)] for record in self.records]
        packed = zlib.compress(json.dumps([self.unlike, rows], ensure_ascii=False).encode(), 9)
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in _NAMES}
        data = save(arrays | {"records": np.frombuffer(packed, dtype=np.uint8)})
        (folder / self.FILE).write_bytes(data)

    @classmethod
    def load(cls, data: bytes, tree: LabelTree) -> "NeighbourIndex":
        """Read an index.

        :raises ModelError: if it is damaged.
        """
        try:
            arrays, _ = parse_arrays(data)
            patents, directions = array_of(arrays, "vectors", "i", 2).shape
            hidden = array_of(arrays, "mean", "f", 1).size
            packed = array_of(arrays, "records", "u", 1)
            form: Form = {
                "mean": ("f", (hidden,)),
                "directions": ("f", (hidden, directions)),
                "vectors": ("i", (patents, directions)),
                "records": ("u", packed.shape),
            }
            check_form(arrays, form)
            unlike, records = _unpack(packed.tobytes(), patents)
        except (ValueError, zlib.error) as problem:
            raise ModelError(f"cannot read {cls.FILE}: {problem}") from problem
        mean, axes, vectors = (arrays[name] for name in _NAMES)
        return cls(mean, axes, vectors, records, unlike)


def _unpack(packed: bytes, patents: int) -> tuple[float, tuple[Record, ...]]:
    """The bound of similarity, and so many records.

    :raises ValueError: if they are damaged, or others than the patents.
    """
    most = _LEAST_BYTES + _RECORD_BYTES * patents
    unpacking = zlib.decompressobj()
    stored = unpacking.decompress(packed, most)
    if unpacking.unconsumed_tail:
        raise ValueError(f"records has more than {most:,} bytes when unpacked")
    if not unpacking.eof:
        raise ValueError("records is cut short")
    try:
        unlike, rows = _STORED.validate_json(stored)
    except ValidationError as problem:
        raise ValueError(f"records is no list of patents ({problem.errors()[0]['msg']})") from None
    if not patents or len(rows) != patents:
        raise ValueError(f"records has {len(rows)} patents, and vectors {patents}")
    return unlike, tuple(Record(*row) for row in rows)


def _short(title: str | None) -> str | None:
    return None if title is None else title[:_TITLE_CHARS]


def build_index(
    embeddings: FloatArray, records: Sequence[Record], held_out: FloatArray, inside: bool = False
) -> NeighbourIndex:
    """Index patents by their embeddings of shape (patents, hidden).

    :param held_out: embeddings of texts outside of the index, to learn how similar an
        ordinary new text is to its nearest neighbour.
    :param inside: they are in the index, so that the nearest to each is itself and does not count.
    """
    mean = embeddings.mean(axis=0)
    _, _, axes = np.linalg.svd(embeddings - mean, full_matrices=False)
    directions = axes[: min(DIRECTIONS, len(axes))].T.astype(np.float16)
    unit = _unit((embeddings - mean) @ directions.astype(np.float32))
    # One scale for all: the largest value of any vector uses the whole range.
    vectors = np.round(unit * (127 / max(1e-9, float(np.abs(unit).max())))).astype(np.int8)
    index = NeighbourIndex(mean.astype(np.float32), directions, vectors, tuple(records), -1.0)
    best = [near[-1].similarity for near in index.nearest(held_out, 1 + inside)]
    unlike = float(np.quantile(best, UNLIKE_SHARE)) if best else -1.0
    return NeighbourIndex(index.mean, directions, vectors, index.records, unlike)


def _unit(vectors: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)


def _largest(values: FloatArray, k: int) -> npt.NDArray[np.intp]:
    """Positions of the ``k`` largest, the largest first; of equal ones, the earlier first."""
    if not 0 < k < len(values):
        return np.argsort(-values, kind="stable")[:k]
    least = np.partition(values, len(values) - k)[len(values) - k]
    near = np.flatnonzero(values >= least)
    return np.asarray(near[np.argsort(-values[near], kind="stable")[:k]])
