"""Rows made into examples: text chosen, label found, splits filled. Knows no tokens.

Whatever cannot be used is counted by reason and kept as a reject; nothing vanishes.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from patclass.core.errors import DataError
from patclass.core.progress import track
from patclass.core.settings import DataSettings
from patclass.cpc.levels import SUBCLASS_DEPTH
from patclass.cpc.scheme import absence_of, changes
from patclass.cpc.tree import LabelSet, LabelTree
from patclass.data.cleaning import MAX_CHARS
from patclass.data.codes import NOT_UNDERSTOOD, UnusableRowError
from patclass.data.column_labels import LabelScheme, RowLabel
from patclass.data.examples import (
    SPLITS,
    UNKNOWN_LABEL,
    Corpus,
    Example,
    Facts,
    FeedbackExample,
    Reject,
    split_off,
    stratified,
)
from patclass.data.labels import CpcLabels, LevelLabels, label_scheme
from patclass.data.sources import Source, open_source
from patclass.data.table import Row, TableOptions
from patclass.data.text import TextView, text_sha256, views_of

# What is set aside where the data has no such split of its own.
VALIDATION_SHARE = 0.1
TEST_SHARE = 0.1

# Codes that a note names.
MAX_ABSENT = 5

# Up to here, rare labels are a matter of taste; above, a column of texts or numbers is meant.
MANY_LABELS = 20


@dataclass(frozen=True)
class _Coded:
    """An example whose label is still made of codes."""

    row: int
    id: str
    text: str
    label: RowLabel
    facts: Facts
    weight: float = 1.0
    views: tuple[str, ...] = ()


def load_corpus(
    settings: DataSettings,
    known: LabelTree | None = None,
    feedback: Mapping[str, Sequence[FeedbackExample]] = MappingProxyType({}),
    test_only: bool = False,
    declared: Collection[str] = (),
    whole_rows: int = 0,
    views: bool = False,
) -> Corpus:
    """Read, label, split and cut the data of a run.

    :param known: the labels of an existing model; rows with others are rejected.
    :param feedback: by split, texts labelled by reviewers, in addition to the rows of the data.
    :param test_only: a model is only tested: a file without splits is the test split, and there
        need be no training rows.
    :param declared: labels that exist even without a row.
    :param whole_rows: a file without splits, with one level of labels, stays whole up to so many
        rows; validation and test are then empty.
    :param views: give training rows the views of their fields; claims stand in for a missing text.
    :raises DataError: if the data, a column or a label level is unknown, or nothing usable
        or only one label is left.
    """
    source = open_source(settings.data, TableOptions.of(settings))
    view = TextView.parse(settings.text, source.columns)
    scheme = label_scheme(
        *(settings.labels, source.columns, source.names),
        *(settings.codes, settings.multi, settings.finest),
    )
    rejects: list[Reject] = []
    coded = {
        split: _usable(read(), split, view, scheme, rejects, views and split == "train")
        for split, read in _splits(source, test_only).items()
    }
    labelled = {s: _coded_feedback(rows, s, scheme, rejects) for s, rows in feedback.items()}
    labels = [row.label for row in (*coded.get("train", []), *labelled.get("train", []))]
    every = [row.label for rows in (*coded.values(), *labelled.values()) for row in rows]
    labels += _declared(scheme, declared)
    if known is None:
        tree = _tree(scheme, labels, source, rejects, settings.min_leaf_rows, len(declared))
    else:
        tree = known
        _check_known(tree, labels or every, source, rejects)
    splits = {split: _examples(rows, split, tree, rejects) for split, rows in coded.items()}
    notes = _notes(source, scheme, every, rejects)
    if test_only and not splits.get("train"):
        splits = {split: splits.get(split, []) for split in SPLITS}
        notes.append("there are no training rows to compare with: no baseline is fitted")
    elif _is_small(source, tree, splits["train"], whole_rows):
        splits = {split: splits.get(split, []) for split in SPLITS}
    else:
        splits = _complete(splits, settings.seed, notes)
    splits = {split: _cut(splits[split], split, settings) for split in SPLITS}
    splits = _with_feedback(
        splits, {s: _examples(rows, s, tree, rejects) for s, rows in labelled.items()}
    )
    if splits["test"] and (splits["train"] or not test_only):
        notes += _check_training(splits["train"], tree)
    return Corpus(source.name, view, tree, splits, tuple(rejects), tuple(notes))


def _is_small(source: Source, tree: LabelTree, rows: Sequence[Example], most: int) -> bool:
    """Whether a table is few rows of one label each, of which none is to be set aside."""
    exclusive = len(tree.levels) == 1 and not tree.overlapping
    return source.undivided and exclusive and len(rows) <= most


def _splits(source: Source, test_only: bool) -> Mapping[str, Callable[[], Iterator[Row]]]:
    """The splits of a source; where a model is only tested, a file without any is one."""
    if test_only and source.undivided:
        return {"test": source.splits["train"]}
    return source.splits


def _check_training(rows: Sequence[Example], tree: LabelTree) -> list[str]:
    """Notes on labels without a training row.

    :raises DataError: if there are not two labels to learn.
    """
    learnt = {
        tree.paths[leaf][0]
        for row in rows
        for leaf in row.leaves
        if tree.overlapping or row.stratum != UNKNOWN_LABEL
    }
    if len(learnt) < 2:
        raise DataError(
            f"only {len(rows)} rows of one label or none are left to train on; give more rows, or "
            "raise train_rows.",
            setting="train_rows",
        )
    coarsest = tree.at(tree.levels[0])
    missing = [code for code in coarsest.codes if code not in learnt]
    return [f"labels without a training row: {', '.join(missing[:20])}"] if missing else []


def _usable(
    rows: Iterable[Row],
    split: str,
    view: TextView,
    scheme: LabelScheme,
    rejects: list[Reject],
    views: bool,
) -> list[_Coded]:
    usable = []
    for row in track(rows, f"reading {split}", leave=False):
        try:
            usable.append(_coded(row, view, scheme, views))
        except UnusableRowError as reason:
            rejects.append(Reject(split, row.number, row.id, str(reason), reason.example))
    return usable


def _with_feedback(
    splits: dict[str, list[Example]], feedback: Mapping[str, list[Example]]
) -> dict[str, list[Example]]:
    """Add the rows from feedback; in train they replace rows with the same text."""
    texts = {text_sha256(row.text) for rows in feedback.values() for row in rows}
    if texts:
        kept = [row for row in splits["train"] if text_sha256(row.text) not in texts]
        splits = splits | {"train": kept}
    return {split: rows + feedback.get(split, []) for split, rows in splits.items()}


def _coded_feedback(
    feedback: Sequence[FeedbackExample], split: str, scheme: LabelScheme, rejects: list[Reject]
) -> list[_Coded]:
    usable = []
    for number, row in enumerate(feedback, 1):
        try:
            label = scheme.label_of_code(row.code)
            usable.append(_Coded(number, row.id, row.text, label, Facts(), row.weight))
        except UnusableRowError as reason:
            where = f"{split} (feedback)"
            rejects.append(Reject(where, number, row.id, str(reason), reason.example))
    return usable


def _coded(row: Row, view: TextView, scheme: LabelScheme, with_views: bool) -> _Coded:
    if row.error is not None:
        raise UnusableRowError(row.error)
    try:
        text, facts = view.text_of(row.fields), Facts.of(row.fields)
        views = views_of(row.fields) if with_views else ()
    except DataError as problem:
        raise UnusableRowError(str(problem)) from problem
    text = text or "".join(views[-1:])
    if not text:
        raise UnusableRowError("no text")
    if len(text) > MAX_CHARS:
        raise UnusableRowError(f"text longer than {MAX_CHARS} characters")
    views = tuple(one for one in views if one != text)
    return _Coded(row.number, row.id, text, scheme.label_of(row.fields), facts, views=views)


def _tree(
    scheme: LabelScheme,
    labels: Sequence[RowLabel],
    source: Source,
    rejects: Sequence[Reject],
    min_rows: int,
    declared: int = 0,
) -> LabelTree:
    codes = [path[-1] for label in labels for path in label.learnt]
    if not codes:
        raise DataError(
            f"{source.name} has no usable training row ({_reasons(rejects) or 'no train split'}). "
            "Check text and labels.",
            setting=("text", "labels"),
        )
    coarsest = {path[0] for label in labels for path in label.learnt}
    if len(coarsest) < 2:
        raise DataError(
            f"{source.name} has one class only: '{coarsest.pop()}' in all {len(codes)} usable "
            "training rows. A classifier needs two; check labels.",
            setting="labels",
        )
    tree = scheme.tree(labels, min_rows)
    if len(tree.paths) - declared > max(MANY_LABELS, (len(codes) - declared) / 2):
        raise DataError(
            f"{len(tree.paths)} classes for {len(codes)} training rows is nearly one a row, e.g. "
            f"'{codes[0][:60]}'. Choose a column of classes, or a coarser level, with labels.",
            setting="labels",
        )
    return tree


def _declared(scheme: LabelScheme, codes: Collection[str]) -> list[RowLabel]:
    try:
        return [scheme.label_of_code(code) for code in codes]
    except UnusableRowError as problem:
        raise DataError(f"descriptions: one of its labels cannot be used ({problem}).") from problem


def _reasons(rejects: Sequence[Reject]) -> str:
    """The most frequent reasons with their counts and an example."""
    counts = Counter(reject.reason for reject in rejects)
    examples = {reject.reason: reject.example for reject in reversed(rejects) if reject.example}
    return "; ".join(
        f"{reason}: {count:,}" + (f", e.g. {examples[reason]}" if reason in examples else "")
        for reason, count in counts.most_common(5)
    )


def _notes(
    source: Source, scheme: LabelScheme, labels: Sequence[RowLabel], rejects: Iterable[Reject]
) -> list[str]:
    """How the data was read, and what in its labels deserves a look."""
    ignored = (f"ignored: {name}" for name in source.ignored)
    codes = (*_absent_codes(scheme, labels), *_contradictions(labels))
    not_understood = [reject for reject in rejects if reject.reason == NOT_UNDERSTOOD]
    wrong = [_reasons(not_understood)] if not_understood else []
    return [*source.recognised, *source.notes, *ignored, *codes, *wrong]


def _absent_codes(scheme: LabelScheme, labels: Iterable[RowLabel]) -> list[str]:
    """A note on codes of labels that the CPC does not have: former ones, and such as never were."""
    if not isinstance(scheme, (LevelLabels, CpcLabels)):
        return []
    counts = Counter(path[-1] for label in labels for path in {*label.candidates} if path)
    absent = [(code, n, absence_of(code)) for code, n in counts.most_common()]
    found = [f"{code} {why} ({n:,} rows)" for code, n, why in absent if why]
    more = [f"{len(found) - MAX_ABSENT:,} more"] if len(found) > MAX_ABSENT else []
    return [f"codes: {', '.join([*found[:MAX_ABSENT], *more])}"] if found else []


def _contradictions(labels: Iterable[RowLabel]) -> list[str]:
    """A note on rows whose main code is of a section in which none of their codes is."""
    found = [label.code for label in labels if label.contradicted]
    if not found:
        return []
    return [
        f"codes: {len(found):,} rows have no code of the section of their main code, e.g. "
        f"{found[0]}; the main code counts. Check that columns belong together."
    ]


def _check_known(
    tree: LabelTree, labels: Sequence[RowLabel], source: Source, rejects: Sequence[Reject]
) -> None:
    known = tree.at(tree.levels[0]).codes
    found = {path[0] for label in labels for path in label.learnt}
    if not found:
        raise DataError(
            f"{source.name} has no usable row ({_reasons(rejects) or 'it is empty'}). Check text, "
            "labels and codes.",
            setting=("text", "labels", "codes"),
        )
    if not found & set(known):
        raise DataError(
            f"the model knows {known[:12]}, but {source.name} has {sorted(found)[:12]}. "
            "Choose the same labels.",
            setting="labels",
        )


def _examples(
    rows: Sequence[_Coded], split: str, tree: LabelTree, rejects: list[Reject]
) -> list[Example]:
    known = []
    for row in rows:
        example = _example(row, tree)
        if not example.leaves:
            codes = ", ".join(sorted({path[0] for path in row.label.candidates}))
            absence = _absence(row.label)
            rejects.append(Reject(split, row.row, row.id, f"label '{codes}' not known", absence))
        elif not row.label.path and row.label.carried is None and split != "train":
            # It can be learnt from, but there is no right answer to compare with.
            rejects.append(Reject(split, row.row, row.id, "ambiguous label"))
        else:
            known.append(example)
    return known


def _absence(label: RowLabel) -> str | None:
    """What became of the code of a label, if it is a former or new one of the CPC."""
    code = label.path[:SUBCLASS_DEPTH][-1] if label.path else ""
    return f"{code} {changes()[code]}" if code in changes() else None


def _example(row: _Coded, tree: LabelTree) -> Example:
    path = row.label.path
    y_true = tuple(
        _position(tree.at(level), path[depth]) if depth < len(path) else None
        for depth, level in enumerate(tree.levels)
    )
    leaves = sorted({leaf for path in row.label.candidates for leaf in tree.leaves_below(path)})
    carried = None if row.label.carried is None else tree.nodes_on(row.label.carried)
    ends = (path for path in row.label.unrefined if len(path) < len(tree.levels))
    unrefined = tree.nodes_at(ends)
    return Example(
        *(row.id, row.text, y_true, tuple(leaves), carried),
        *(row.facts, row.weight, row.views, unrefined),
    )


def _position(labels: LabelSet, code: str) -> int:
    return labels.index(code) if code in labels else UNKNOWN_LABEL


def _complete(
    splits: dict[str, list[Example]], seed: int, notes: list[str]
) -> dict[str, list[Example]]:
    """Set rows of train aside for the splits that the data lacks."""
    for split, share in (("test", TEST_SHARE), ("validation", VALIDATION_SHARE)):
        if split not in splits:
            rows = splits["train"]
            keys = [row.group for row in rows]
            rest, partial = split_off([row.stratum for row in rows], keys, share, seed)
            if not rest:
                raise DataError(
                    f"all {len(rows)} rows of train are of one family or have one text, so that "
                    f"none can be set aside as {split}; check the column of families."
                )
            splits = splits | {"train": [rows[i] for i in rest], split: [rows[i] for i in partial]}
            notes.append(f"no {split} split: {len(partial)} rows of train set aside for it")
        if not splits[split]:
            raise DataError(f"the {split} split has no usable row; check its labels and texts.")
    return splits


def _cut(rows: list[Example], split: str, settings: DataSettings) -> list[Example]:
    """The rows of a split, no more than the settings want."""
    sizes = {
        "train": settings.train_rows,
        "validation": settings.validation_rows,
        "test": settings.test_rows,
    }
    size = sizes[split]
    if size is None:
        return rows
    return [rows[p] for p in stratified([row.stratum for row in rows], size, settings.seed)]
