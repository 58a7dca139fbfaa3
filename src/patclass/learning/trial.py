"""A candidate and the champion on the same rows. Knows bundles, data and verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from patclass.bundle import Bundle
from patclass.config import DataSettings
from patclass.data.corpus import Corpus, Judged, load_corpus
from patclass.learning.gate import Answered, Decision, Rows, decide
from patclass.learning.material import GATE, Known, Material, gather
from patclass.monitoring.known import code_at
from patclass.pipeline import with_bar
from patclass.store.database import Database


@dataclass(frozen=True)
class Rivals:
    """The champion and a candidate for its place."""

    champion: Bundle
    candidate: Bundle

    @property
    def names(self) -> tuple[str, str]:
        """Their versions."""
        return self.champion.fingerprint, self.candidate.fingerprint


def judge(rivals: Rivals, data: DataSettings, database: Database, device: str = "auto") -> Decision:
    """Have both answer the held-out rows, and the verdicts kept back; decide.

    :param data: of which the test rows are used.
    :raises PatclassError: if data, store or a bundle cannot be used.
    """
    corpus = load_corpus(data)
    verdicts = gather(database, Known.of(corpus), weight=1.0)
    texts = [row.text for row in corpus["test"]] + [row.text for row in verdicts.judged[GATE]]
    levels = [
        level
        for level in corpus.tree.levels
        if all(level in bundle.tree.levels for bundle in (rivals.champion, rivals.candidate))
    ]
    found = [
        _answers(bundle, texts, levels, what, device)
        for bundle, what in ((rivals.champion, "champion"), (rivals.candidate, "candidate"))
    ]
    rows = len(corpus["test"])
    held_out = {
        level: _held_out(corpus, level, *(_part(f[level], range(rows)) for f in found))
        for level in levels
    }
    kept_back = [_part(f[levels[0]], range(rows, len(texts))) for f in found]
    return decide(rivals.names, held_out, _verdicts(verdicts, levels[0], *kept_back))


def _answers(
    bundle: Bundle, texts: Sequence[str], levels: Sequence[str], what: str, device: str
) -> Mapping[str, Answered]:
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


def _verdicts(material: Material, level: str, champion: Answered, candidate: Answered) -> Rows:
    """The verdicts kept back that say what the label of a level is."""
    judged: Sequence[Judged] = material.judged[GATE]
    truth = {place: code_at(level, row.code) for place, row in enumerate(judged)}
    places = [place for place, code in truth.items() if code is not None]
    return Rows(
        [code for code in truth.values() if code is not None],
        _part(champion, places),
        _part(candidate, places),
        [judged[place].id in material.sampled for place in places],
    )
