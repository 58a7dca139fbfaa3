"""Promotion of a candidate: its evaluation against the champion, the switch, and the way back.

Knows bundles and data; the gate decides. The registry's pointer says which version is the champion;
the store records the reason.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from patclass.bundle import Bundle, read_bundle
from patclass.bundle.registry import ADD_LOCK, Registry
from patclass.core.errors import BundleError
from patclass.core.files import atomic_write
from patclass.core.settings import DataSettings
from patclass.data.corpus import load_corpus
from patclass.data.examples import Corpus, known_at
from patclass.evaluation.report import check_report
from patclass.learning.gate import (
    Decision,
    LevelPredictions,
    PairedPredictions,
    decide,
    html_decision,
)
from patclass.learning.training_data import GATE, CorpusTexts, FeedbackParts, split_feedback
from patclass.monitoring.accuracy import code_at
from patclass.predictor.pipeline import run_with_progress
from patclass.store.database import Database
from patclass.store.history import CANDIDATE, CHAMPION, REFUSED, EventStore, ModelRow, ModelStore

# One model's predictions at each level, and the labels of each level, coarsest first.
PredictionsByLevel = Mapping[str, LevelPredictions]
LabelsByLevel = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class ModelPair:
    """The champion and a candidate that may replace it."""

    champion: Bundle
    candidate: Bundle

    @property
    def names(self) -> tuple[str, str]:
        """Their versions."""
        return self.champion.fingerprint, self.candidate.fingerprint


def evaluate_candidate(pair: ModelPair, data: DataSettings, database: Database) -> Decision:
    """Compare both models on the test rows of the data and on the gate's part of the feedback.

    :raises PatclassError: if data, store or a bundle cannot be used, or the models have no level
        in common.
    """
    corpus = load_corpus(data)
    feedback = split_feedback(database, CorpusTexts.of(corpus), weight=1.0)
    levels = _shared_levels(pair, corpus)
    test_texts = [row.text for row in corpus["test"]]
    texts = test_texts + [example.text for example in feedback.examples[GATE]]
    champion = _predict(pair.champion, texts, levels, "champion")
    candidate = _predict(pair.candidate, texts, levels, "candidate")

    test, gate = range(len(test_texts)), range(len(test_texts), len(texts))
    held_out = {}
    for level in levels:
        rows = _test_rows(corpus, level, champion[level].take(test), candidate[level].take(test))
        if rows.y_true:
            held_out[level] = rows

    labels = {level: _labels_of(pair, level) for level in levels}
    coarsest = {levels[0]: labels[levels[0]]}
    gate_champion = {level: champion[level].take(gate) for level in levels}
    gate_candidate = {level: candidate[level].take(gate) for level in levels}
    return decide(
        pair.names,
        held_out,
        coarsest_feedback=_feedback_rows(feedback, coarsest, gate_champion, gate_candidate),
        finest_feedback=_feedback_rows(feedback, labels, gate_champion, gate_candidate),
    )


def _shared_levels(pair: ModelPair, corpus: Corpus) -> list[str]:
    """The levels of the data at which both models predict, coarsest first."""
    bundles = (pair.champion, pair.candidate)
    shared = [level for level in corpus.tree.levels if all(level in b.tree.levels for b in bundles)]
    if not shared:
        levels = " and ".join(
            f"{b.fingerprint} predicts {', '.join(b.tree.levels)}" for b in bundles
        )
        raise BundleError(
            f"{levels}; the data has {', '.join(corpus.tree.levels)}: there is no level at which "
            "the models can be compared. Use data that has one."
        )
    return shared


def _labels_of(pair: ModelPair, level: str) -> frozenset[str]:
    """The labels of a level that at least one of the models has."""
    return frozenset().union(*(b.tree.at(level).codes for b in (pair.champion, pair.candidate)))


def _predict(
    bundle: Bundle, texts: Sequence[str], levels: Sequence[str], role: str
) -> dict[str, LevelPredictions]:
    """A model's predictions for all texts, by level."""
    leaves = run_with_progress(bundle.load_pipeline(), texts, f"scoring {role}").leaves
    predictions = {}
    for level in levels:
        probabilities = bundle.tree.sums(leaves, level)
        codes = bundle.tree.at(level).codes
        labels = [codes[int(position)] for position in probabilities.argmax(axis=1)]
        predictions[level] = LevelPredictions(labels, probabilities.max(axis=1))
    return predictions


def _test_rows(
    corpus: Corpus, level: str, champion: LevelPredictions, candidate: LevelPredictions
) -> PairedPredictions:
    """The test rows whose label at a level is known."""
    depth, labels = corpus.tree.levels.index(level), corpus.tree.at(level)
    known, y_true = known_at(corpus["test"], depth)
    positions = known[y_true >= 0].tolist()  # the others' labels are not in the tree
    codes = [labels[label].code for label in y_true[y_true >= 0]]
    return PairedPredictions(codes, champion.take(positions), candidate.take(positions))


def _feedback_rows(
    feedback: FeedbackParts,
    labels: LabelsByLevel,
    champion: PredictionsByLevel,
    candidate: PredictionsByLevel,
) -> PairedPredictions:
    """The gate's examples of feedback, each at the finest of some levels that it reaches.

    :param labels: of each of these levels, coarsest first.
    """
    y_true: list[str] = []
    sampled: list[bool] = []
    rows: list[tuple[int, str]] = []
    for position, example in enumerate(feedback.examples[GATE]):
        finest = _finest_label(example.code, labels)
        if finest is None:
            continue
        level, label = finest
        y_true.append(label)
        sampled.append(example.id in feedback.sampled)
        rows.append((position, level))
    return PairedPredictions(
        y_true, _take_at_levels(champion, rows), _take_at_levels(candidate, rows), sampled
    )


def _finest_label(code: str, labels: LabelsByLevel) -> tuple[str, str] | None:
    """The finest level that a code reaches, and its label there; None if it reaches none."""
    finest = None
    for level, labels_of_level in labels.items():
        label = code_at(level, code, labels_of_level)
        if label is not None:
            finest = (level, label)
    return finest


def _take_at_levels(
    predictions: PredictionsByLevel, rows: Sequence[tuple[int, str]]
) -> LevelPredictions:
    """The predictions of some rows, given as position and level."""
    confidences = [predictions[level].confidences[position] for position, level in rows]
    return LevelPredictions(
        [predictions[level].labels[position] for position, level in rows],
        np.array(confidences, dtype=np.float32),
    )


DECISIONS = "decisions"


def find_version(registry: Registry, wanted: str) -> Bundle:
    """A version by its folder's name or by the first digits of its version.

    :raises BundleError: if there is none, or several, or it is damaged.
    """
    folders = {path.name: path for path in registry.folders()}
    if wanted in folders:
        return read_bundle(folders[wanted])
    found = [
        bundle
        for bundle in read_versions(registry).values()
        if bundle is not None and bundle.fingerprint.startswith(wanted)
    ]
    if len(found) != 1:
        raise BundleError(
            f"'{wanted}' is {'no' if not found else 'more than one'} version in "
            f"{registry.folder}; there are {', '.join(folders) or 'none'}."
        )
    return found[0]


def read_versions(registry: Registry) -> dict[Path, Bundle | None]:
    """The bundles of all versions by folder, oldest first; None for a damaged one."""
    return {folder: _read_or_none(folder) for folder in registry.folders()}


def _read_or_none(folder: Path) -> Bundle | None:
    try:
        return read_bundle(folder)
    except BundleError:
        return None


def register(registry: Registry, database: Database, folder: Path) -> Bundle:
    """Copy a bundle into the registry as a candidate, unless it is registered already.

    :raises BundleError: if it is damaged, or its predictions differ from those when it was saved.
    """
    new = read_bundle(folder)
    known = _find_equal(registry, new)
    if known is not None:
        return known
    check_report(new)
    new.verify()
    with registry.lock(ADD_LOCK):  # somebody may have been quicker
        known = _find_equal(registry, new)
        if known is not None:
            return known
        bundle = read_bundle(registry.add(folder))
    _record_version(database, bundle, {"from": str(folder)})
    return bundle


def _find_equal(registry: Registry, bundle: Bundle) -> Bundle | None:
    """The version in the registry that has the same files."""
    versions = read_versions(registry).values()
    return next((each for each in versions if each and each.sha256 == bundle.sha256), None)


def _record_version(
    database: Database, bundle: Bundle, lineage: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Store a version as a candidate, unless it is stored already."""
    parent = None if bundle.lineage is None else bundle.lineage.parent
    row = ModelRow(bundle.fingerprint, bundle.folder.name, parent, CANDIDATE, dict(lineage))
    ModelStore(database).add(row)


def record_decision(
    registry: Registry, database: Database, decision: Decision, bundle: Bundle
) -> Path:
    """Store the gate's decision, and write it as a page in the registry; return the page.

    :param bundle: the candidate.
    :raises PatclassError: if it cannot be stored or written.
    """
    _record_version(database, bundle)
    state = CANDIDATE if decision.passed else REFUSED
    figures = decision.model_dump(mode="json")
    ModelStore(database).record_decision(decision.candidate, figures, state)
    page = registry.folder / DECISIONS / f"{bundle.folder.name}.html"
    with atomic_write(page) as partial:
        partial.write_text(html_decision(decision, bundle.lineage), encoding="utf-8")
    return page


def promote(
    registry: Registry, database: Database, bundle: Bundle, reason: str, over: Bundle | None = None
) -> None:
    """Make a version the champion.

    :param reason: for the record.
    :param over: the champion that it was compared with, if it was.
    :raises PatclassError: if the bundle does not verify, or cannot be written, or another version
        has become the champion meanwhile.
    """
    bundle.verify()
    _record_version(database, bundle)  # fails before anything changes if the store is unavailable
    registry.promote(bundle.folder.name, None if over is None else over.folder.name)
    _record_promotion(database, bundle, "promoted", reason)


def sync_champion(registry: Registry, database: Database) -> Bundle:
    """Record the registry's champion as champion in the store, and return it.

    They differ if the champion is older than the store, or a process died during a promotion.

    :raises PatclassError: if there is no champion, or the store cannot be used.
    """
    bundle = read_bundle(registry.champion())
    _record_version(database, bundle)
    states = {row.version: row.state for row in ModelStore(database).all()}
    if states[bundle.fingerprint] != CHAMPION:
        reason = "found as the champion of the registry; the reason was not recorded"
        _record_promotion(database, bundle, "promoted", reason)
    return bundle


def roll_back(registry: Registry, database: Database) -> Bundle:
    """Make the previous champion the champion again.

    :raises PatclassError: if there is none, or its bundle is missing or damaged.
    """
    bundle = read_bundle(registry.former())
    bundle.verify()
    _record_version(database, bundle)
    registry.roll_back(bundle.folder.name)
    _record_promotion(database, bundle, "rolled back", "requested")
    return bundle


def _record_promotion(database: Database, bundle: Bundle, kind: str, reason: str) -> None:
    ModelStore(database).promote(bundle.fingerprint)
    # A version may be promoted more than once, and each time is a separate event.
    key = f"{kind} {bundle.fingerprint} {secrets.token_hex(8)}"
    EventStore(database).add(kind, key, bundle.fingerprint, {"reason": reason})
