"""Examples: patents with their text and label positions, the corpus of them, and choices of them.

Knows what is kept of a row; not how rows are read or labelled.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from patclass.core.types import Positions
from patclass.cpc.tree import LabelTree
from patclass.data.cleaning import clean
from patclass.data.text import TextView

SPLITS = ("train", "validation", "test")

YEAR_COLUMNS = ("year", "publication_year", "date", "publication_date")

# Of 2006-01-31, 31.01.2006 or 20060131.
_YEAR = re.compile(r"(?<!\d)(?:1[89]|20)\d\d(?=\D|$|\d{4}(?!\d))")

# What stands for no family in databases that number them.
_NO_FAMILY = ("0", "-1")

# The position of a code that is known but is not among the model's labels.
UNKNOWN_LABEL = -1


@dataclass(frozen=True)
class Facts:
    """Bibliographic data of a patent besides text and label; None where it is missing.

    :param family: by what publications of one invention are known.
    """

    title: str | None = None
    year: int | None = None
    source: str | None = None
    family: str | None = None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Facts":
        """Read ``title``, ``source``, ``family``, and ``year`` or a date that has one."""
        found = (_YEAR.search(str(fields.get(column) or "")) for column in YEAR_COLUMNS)
        year = next((int(match.group()) for match in found if match), None)
        title, source, family = (
            clean(fields.get(name)) or None for name in ("title", "source", "family")
        )
        return cls(title, year, source, None if family in _NO_FAMILY else family)


@dataclass(frozen=True)
class Example:
    """One usable patent: its text, and its label as positions in the label tree.

    :param y_true: for each level the position of the label, ``UNKNOWN_LABEL`` if the tree lacks it,
        None if it is not known.
    :param leaves: the outputs of which one is the true one.
    :param carried: the nodes that the patent carries; None if it may carry others than are known.
    :param weight: weight in training, relative to 1.
    :param views: other texts of the patent that it may be learnt from.
    :param unrefined: nodes that it carries and below which nothing is known, as its list of codes
        says no more.
    """

    id: str
    text: str
    y_true: tuple[int | None, ...]
    leaves: tuple[int, ...]
    carried: tuple[int, ...] | None = None
    facts: Facts = Facts()
    weight: float = 1.0
    views: tuple[str, ...] = ()
    unrefined: tuple[int, ...] = ()

    @property
    def stratum(self) -> int:
        """What subsets are balanced by: the coarsest label."""
        return UNKNOWN_LABEL if self.y_true[0] is None else self.y_true[0]

    @property
    def group(self) -> str:
        """What stays on one side of every split: the patent's family, or else its text."""
        return self.facts.family or self.text.lower()


def known_at(rows: Sequence[Example], depth: int) -> tuple[Positions, Positions]:
    """Where rows with a known label at a level stand, and its positions there."""
    known = [(place, row.y_true[depth]) for place, row in enumerate(rows)]
    found = [(place, y_true) for place, y_true in known if y_true is not None]
    table = np.array(found, dtype=np.intp).reshape(-1, 2)
    return table[:, 0], table[:, 1]


@dataclass(frozen=True)
class Reject:
    """One row that cannot be used.

    :param example: the part of the row that is the reason, if it can be quoted.
    """

    split: str
    row: int
    id: str
    reason: str
    example: str | None = None


@dataclass(frozen=True)
class Corpus:
    """Everything a run needs to know about its data."""

    source: str
    view: TextView
    tree: LabelTree
    splits: dict[str, list[Example]]
    rejects: tuple[Reject, ...]
    notes: tuple[str, ...] = ()

    def __getitem__(self, split: str) -> list[Example]:
        return self.splits[split]

    @property
    def reject_counts(self) -> dict[str, int]:
        """Rejected rows by split and reason."""
        counts = Counter(f"{reject.split}: {reject.reason}" for reject in self.rejects)
        return dict(sorted(counts.items()))

    def leaked(self, split: str) -> int:
        """Rows of ``split`` whose text or family also stands in train; they flatter the result."""
        train = self.splits["train"]
        seen = {example.text.lower() for example in train} | {example.group for example in train}
        return sum(
            example.text.lower() in seen or example.group in seen for example in self.splits[split]
        )

    def fingerprint(self) -> str:
        """SHA-256 over ids, texts and labels of all splits, in their order."""
        digest = hashlib.sha256()
        for split in SPLITS:
            for example in self.splits[split]:
                paths = [self.tree.paths[leaf] for leaf in example.leaves]
                record = [split, example.id, example.text, paths, example.carried]
                # A weight says something of rows that have one, and nothing of all others.
                weight = [] if example.weight == 1 else [example.weight]
                rest = [*weight, *example.unrefined, *example.views]
                digest.update(json.dumps([*record, *rest]).encode())
        return digest.hexdigest()


def write_rejects(rejects: Iterable[Reject], path: Path) -> None:
    """Write rejects as JSON lines; the text itself is left out."""
    records = ({k: v for k, v in vars(reject).items() if v is not None} for reject in rejects)
    lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    path.write_text("".join(lines), encoding="utf-8")


@dataclass(frozen=True)
class FeedbackExample:
    """A text with the code that reviewers assigned to it."""

    id: str
    text: str
    code: str
    weight: float = 1.0


def stratified(labels: Sequence[int], size: int, seed: int) -> list[int]:
    """Positions of ``size`` rows, shuffled, each label with its share of them.

    The choice depends on ``labels``, ``size`` and ``seed`` alone.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    if size >= len(labels):
        return [int(position) for position in order]
    return [int(position) for position in rng.permutation(_first(labels, order, size))]


def split_off(
    labels: Sequence[int], keys: Sequence[str], share: float, seed: int
) -> tuple[list[int], list[int]]:
    """Split positions into the rest and a stratified ``share`` (at least one row).

    Rows are chosen by a hash of their ``keys``, not by their place. A data set that has grown
    therefore keeps nearly the same rows aside, so that what was trained on does not turn into
    test rows. Equal keys stay together, for which the share may become a little larger.
    """
    digests = [hashlib.sha256(f"{seed} {key.lower()}".encode()).digest() for key in keys]
    order = np.array(sorted(range(len(labels)), key=digests.__getitem__), dtype=np.int64)
    first = _first(labels, order, max(1, round(len(labels) * share)))
    chosen = {digests[position] for position in first}
    sides: tuple[list[int], list[int]] = ([], [])
    for position, digest in enumerate(digests):
        sides[digest in chosen].append(position)
    return sides


def _first(labels: Sequence[int], order: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """The first rows of each label in ``order``, ``size`` in all.

    Shares are rounded by the largest remainder, so that they add up exactly.
    """
    values = np.asarray(labels)
    kinds, counts = np.unique(values, return_counts=True)
    share = counts * size / len(values)
    take = np.floor(share).astype(int)
    short = size - int(take.sum())
    take[np.argsort(take - share, kind="stable")[:short]] += 1
    found = [order[values[order] == kind][:n] for kind, n in zip(kinds, take, strict=True)]
    return np.concatenate(found)
