"""A candidate and the champion on the same rows. Knows bundles, data and verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from patclass.bundle import Bundle
from patclass.core.errors import BundleError
from patclass.core.settings import DataSettings
from patclass.data.corpus import load_corpus
from patclass.data.examples import Corpus
from patclass.learning.gate import Answered, Decision, Rows, decide
from patclass.learning.training_data import GATE, FeedbackParts, Known, gather
from patclass.monitoring.accuracy import code_at
from patclass.predictor.pipeline import with_bar
from patclass.store.database import Database

# One model's answers at each level, and each level's labels.
ByLevel = Mapping[str, Answered]
Labels = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class ModelPair:
    """The champion and a candidate for its place."""

    champion: Bundle
    candidate: Bundle

    @property
    def names(self) -> tuple[str, str]:
        """Their versions."""
        return self.champion.fingerprint, self.candidate.fingerprint


def judge(
    pair: ModelPair, data: DataSettings, database: Database, device: str = "auto"
) -> Decision:
    """Have both answer the held-out rows, and the verdicts kept back; decide.

    :param data: of which the test rows are used.
    :raises PatclassError: if data, store or a bundle cannot be used, or both share no level.
    """
    corpus = load_corpus(data)
    verdicts = gather(database, Known.of(corpus), weight=1.0)
    texts = [row.text for row in corpus["test"]] + [row.text for row in verdicts.judged[GATE]]
    levels = _shared_levels(pair, corpus)
    found = [
        _answers(bundle, texts, levels, what, device)
        for bundle, what in ((pair.champion, "champion"), (pair.candidate, "candidate"))
    ]
    rows = len(corpus["test"])
    held_out = {
        level: answered
        for level in levels
        if (
            answered := _held_out(corpus, level, *(_part(f[level], range(rows)) for f in found))
        ).truth
    }
    kept_back = [
        {level: _part(f[level], range(rows, len(texts))) for level in levels} for f in found
    ]
    labels = {level: _codes(pair, level) for level in levels}
    coarsest, finest = (
        _verdicts(verdicts, {level: labels[level] for level in among}, *kept_back)
        for among in (levels[:1], levels)
    )
    return decide(pair.names, held_out, coarsest, finest)


def _shared_levels(pair: ModelPair, corpus: Corpus) -> list[str]:
    bundles = (pair.champion, pair.candidate)
    shared = [level for level in corpus.tree.levels if all(level in b.tree.levels for b in bundles)]
    if not shared:
        told = " and ".join(f"{b.fingerprint} answers {', '.join(b.tree.levels)}" for b in bundles)
        raise BundleError(
            f"{told}; the data has {', '.join(corpus.tree.levels)}: there is no level at which "
            "they can be compared. Give data that has one with --data."
        )
    return shared


def _codes(pair: ModelPair, level: str) -> frozenset[str]:
    """The labels that either knows at a level."""
    return frozenset().union(*(b.tree.at(level).codes for b in (pair.champion, pair.candidate)))


def _answers(
    bundle: Bundle, texts: Sequence[str], levels: Sequence[str], what: str, device: str
) -> ByLevel:
    leaves = with_bar(bundle.load_pipeline(device), texts, f"scoring {what}").leaves
    found = {}
    for level in levels:
        shares, codes = bundle.tree.sums(leaves, level), bundle.tree.at(level).codes
        best = shares.argmax(axis=1)
        found[level] = Answered([codes[int(place)] for place in best], shares.max(axis=1))
    return found


def _part(answered: Answered, places: Sequence[int]) -> Answered:
    chosen = np.array(places, dtype=np.intp)
    return Answered([answered.codes[i] for i in places], answered.confidences[chosen])


def _held_out(corpus: Corpus, level: str, champion: Answered, candidate: Answered) -> Rows:
    """The test rows whose label is known at a level."""
    depth, labels = corpus.tree.levels.index(level), corpus.tree.at(level)
    truth = {
        place: labels[known].code
        for place, row in enumerate(corpus["test"])
        if (known := row.truth[depth]) is not None and known >= 0
    }
    places = list(truth)
    return Rows(list(truth.values()), _part(champion, places), _part(candidate, places))


def _verdicts(
    material: FeedbackParts, labels: Labels, champion: ByLevel, candidate: ByLevel
) -> Rows:
    """The verdicts kept back, each at the finest of some levels that it reaches.

    :param labels: of each of these levels, coarsest first.
    """
    judged = material.judged[GATE]
    truth: dict[int, tuple[str, str]] = {}
    for place, row in enumerate(judged):
        for level, codes in labels.items():
            if (code := code_at(level, row.code, codes)) is not None:
                truth[place] = (level, code)
    levels = {place: level for place, (level, _) in truth.items()}
    return Rows(
        [code for _, code in truth.values()],
        _at(champion, levels),
        _at(candidate, levels),
        [judged[place].id in material.sampled for place in truth],
    )


def _at(answered: ByLevel, levels: Mapping[int, str]) -> Answered:
    """The answers to some rows, of each that at its level."""
    return Answered(
        [answered[level].codes[place] for place, level in levels.items()],
        np.array(
            [answered[level].confidences[place] for place, level in levels.items()], "float32"
        ),
    )
