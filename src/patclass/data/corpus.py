"""Rows made into examples: text chosen, label found, splits filled. Knows no tokens.

Whatever cannot be used is counted by reason and kept as a reject; nothing vanishes.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from patclass.config import DataSettings
from patclass.data.rows import Row
from patclass.data.sources import SPLITS, Source, open_source
from patclass.data.subset import split_off, stratified
from patclass.data.views import MAX_CHARS, TextView
from patclass.errors import DataError
from patclass.labels import LabelScheme, LabelSet, Unusable, label_scheme

# What is set aside where the data has no such split of its own.
VALIDATION_SHARE = 0.1
TEST_SHARE = 0.1

# Up to here, rare labels are a matter of taste; above, a column of texts or numbers is meant.
MANY_LABELS = 20


@dataclass(frozen=True)
class Example:
    """One usable patent: its text and the position of its label in the label set."""

    id: str
    text: str
    label: int


@dataclass(frozen=True)
class Reject:
    """One row that cannot be used."""

    split: str
    row: int
    id: str
    reason: str


@dataclass(frozen=True)
class Corpus:
    """Everything a run needs to know about its data."""

    source: str
    view: TextView
    labels: LabelSet
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
        """Texts of ``split`` that also stand in train; more than none flatters the result."""
        seen = {example.text.lower() for example in self.splits["train"]}
        return sum(example.text.lower() in seen for example in self.splits[split])

    def fingerprint(self) -> str:
        """SHA-256 over ids, texts and labels of all splits, in their order."""
        digest = hashlib.sha256()
        for split in SPLITS:
            for example in self.splits[split]:
                code = self.labels[example.label].code
                record = json.dumps([split, example.id, example.text, code])
                digest.update(record.encode())
        return digest.hexdigest()


def write_rejects(rejects: Iterable[Reject], path: Path) -> None:
    """Write rejects as JSON lines; the text itself is left out."""
    lines = (json.dumps(vars(reject), ensure_ascii=False) + "\n" for reject in rejects)
    path.write_text("".join(lines), encoding="utf-8")


@dataclass(frozen=True)
class _Coded:
    """An example whose label is still a code."""

    row: int
    id: str
    text: str
    code: str


def load_corpus(settings: DataSettings, known: LabelSet | None = None) -> Corpus:
    """Read, label, split and cut the data of a run.

    :param known: the labels of an existing model; rows with others are rejected.

    :raises DataError: if the data, a column or a label level is unknown, or nothing usable
        or only one label is left.
    """
    source = open_source(settings.data)
    view = TextView.parse(settings.text, source.columns)
    scheme = label_scheme(settings.labels, source.columns, source.names, settings.code_column)
    rejects: list[Reject] = []
    coded = {
        split: _usable(read(), split, view, scheme, rejects)
        for split, read in source.splits.items()
    }
    codes = [row.code for row in coded.get("train", [])]
    if known is not None and not set(codes) & set(known.codes):
        raise DataError(
            f"labels disagree: the model knows {known.codes[:12]}, {source.name} has "
            f"{sorted(set(codes))[:12]}. Choose the same ones with --labels."
        )
    labels = known or _label_set(scheme, codes, source, rejects)
    splits = {split: _examples(rows, split, labels, rejects) for split, rows in coded.items()}
    notes = [f"ignored: {name}" for name in source.ignored]
    splits = _complete(splits, settings.seed, notes)
    sizes = {
        "train": settings.train_rows,
        "validation": settings.validation_rows,
        "test": settings.test_rows,
    }
    splits = {split: _cut(splits[split], sizes[split], settings.seed) for split in SPLITS}
    if len({row.label for row in splits["train"]}) < 2:
        raise DataError(
            f"only {len(splits['train'])} rows of one label or none are left to train on; give "
            "more rows, or raise --train-rows."
        )
    present = {row.label for row in splits["train"]}
    missing = [label.code for position, label in enumerate(labels) if position not in present]
    if missing:
        notes.append(f"labels without a training row: {', '.join(missing[:20])}")
    return Corpus(source.name, view, labels, splits, tuple(rejects), tuple(notes))


def _usable(
    rows: Iterable[Row], split: str, view: TextView, scheme: LabelScheme, rejects: list[Reject]
) -> list[_Coded]:
    usable = []
    for row in tqdm(rows, desc=f"reading {split}", unit="row", disable=None, leave=False):
        try:
            usable.append(_coded(row, view, scheme))
        except Unusable as reason:
            rejects.append(Reject(split, row.number, row.id, str(reason)))
    return usable


def _coded(row: Row, view: TextView, scheme: LabelScheme) -> _Coded:
    if row.error is not None:
        raise Unusable(row.error)
    text = view.text_of(row.fields)
    if not text:
        raise Unusable("no text")
    if len(text) > MAX_CHARS:
        raise Unusable(f"text longer than {MAX_CHARS} characters")
    return _Coded(row.number, row.id, text, scheme.code_of(row.fields))


def _label_set(
    scheme: LabelScheme, codes: Sequence[str], source: Source, rejects: Sequence[Reject]
) -> LabelSet:
    reasons = Counter(reject.reason for reject in rejects)
    why = "; ".join(f"{reason}: {count}" for reason, count in reasons.most_common(5))
    if not codes:
        raise DataError(
            f"{source.name} has no usable training row ({why or 'no train split'}). "
            "Check --text and --labels."
        )
    if len(set(codes)) < 2:
        raise DataError(
            f"{source.name} has one class only: '{codes[0]}' in all {len(codes)} usable training "
            "rows. A classifier needs two; check --labels."
        )
    kinds = len(set(codes))
    if kinds > max(MANY_LABELS, len(codes) / 2):
        raise DataError(
            f"{kinds} labels for {len(codes)} training rows is nearly one a row, e.g. "
            f"'{codes[0][:60]}'. Choose a column of classes, or a coarser level, with --labels."
        )
    return scheme.label_set(codes)


def _examples(
    rows: Sequence[_Coded], split: str, labels: LabelSet, rejects: list[Reject]
) -> list[Example]:
    known = []
    for row in rows:
        if row.code in labels:
            known.append(Example(row.id, row.text, labels.index(row.code)))
        else:
            rejects.append(Reject(split, row.row, row.id, f"label '{row.code}' not known"))
    return known


def _complete(
    splits: dict[str, list[Example]], seed: int, notes: list[str]
) -> dict[str, list[Example]]:
    """Set rows of train aside for the splits that the data lacks."""
    for split, share in (("test", TEST_SHARE), ("validation", VALIDATION_SHARE)):
        if split not in splits:
            rows = splits["train"]
            keys = [row.text for row in rows]
            rest, aside = split_off([row.label for row in rows], keys, share, seed)
            splits = splits | {"train": [rows[i] for i in rest], split: [rows[i] for i in aside]}
            notes.append(f"no {split} split: {len(aside)} rows of train set aside for it")
        if not splits[split]:
            raise DataError(f"the {split} split has no usable row; check its labels and texts.")
    return splits


def _cut(rows: list[Example], size: int | None, seed: int) -> list[Example]:
    if size is None:
        return rows
    return [rows[position] for position in stratified([row.label for row in rows], size, seed)]
