"""In which order answers wait for a person. Knows rows and what was said of them, no store.

Disputes come first, then the answers that are most probably wrong, label by label in turn, and
every fifth time one that chance chose. What somebody gave back rests for a while. The sample keeps
the order of its draw and takes no turns, so that however much of it is judged stands for all.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from patclass.learning.reasons import SAMPLE, Candidate, candidate_of
from patclass.store.feedback import DISPUTED
from patclass.store.opinion import Opinion, opinion_of
from patclass.store.predictions import PredictionRow
from patclass.store.reviews import LEASE, OPEN, Case
from patclass.store.verdict import Given

# Each time so many cases are handed out, the last of them is of the sample.
_FIFTH = 5

_NOTHING = Opinion(None, False, ())


@dataclass(frozen=True)
class Waiting:
    """What waits for a person.

    :param candidates: those with a text, in the order in which they are handed out.
    :param without_text: how many more there would be, had their texts been kept.
    """

    candidates: tuple[Candidate, ...]
    without_text: int


@dataclass(frozen=True)
class Known:
    """What is remembered beside predictions.

    :param texts: the hash of the text of each case, by prediction.
    :param said: all verdicts by the hash of the text.
    """

    cases: Mapping[str, Case]
    texts: Mapping[str, str]
    said: Mapping[str, Sequence[Given]]

    def opinion(self, text: str) -> Opinion:
        """What people hold of a text."""
        return opinion_of(self.said[text]) if text in self.said else _NOTHING

    def whole(self, row: PredictionRow) -> PredictionRow:
        """A row with the text that was given with a verdict, where it was not kept itself."""
        if row.text is not None:
            return row
        given = (each.feedback.text for each in self.said.get(row.text_sha256, ()))
        return replace(row, text=next((text for text in given if text is not None), None))

    def handed_out(self) -> list[Case]:
        """Cases that somebody has or had in hand, the latest first."""
        found = [case for case in self.cases.values() if case.state != OPEN]
        return sorted(found, key=lambda case: case.changed, reverse=True)


def order(rows: Sequence[PredictionRow], known: Known, now: datetime) -> Waiting:
    """What waits among ``rows``, in the order in which it is handed out."""
    closed = {known.texts.get(c.prediction_id) for c in known.cases.values() if c.taken(now)}
    kept = {row.text_sha256: row.text for row in rows if row.text is not None}
    best: dict[str, Candidate] = {}
    without: set[str] = set()
    for row in rows:
        text, opinion = row.text_sha256, known.opinion(row.text_sha256)
        judged = bool(opinion.numbers) and not opinion.disputed
        found = None if text in closed else candidate_of(row, opinion.disputed)
        # Of the sample all are reviewed: those that nobody judges by themselves are the easy ones.
        if found is None or (judged and found.reason != SAMPLE):
            continue
        whole = known.whole(replace(row, text=row.text or kept.get(text)))
        if whole.text is None:
            without.add(text)
            continue
        found = replace(found, prediction=whole)
        best[text] = min(found, best.get(text, found), key=lambda c: _of_one_text(c, known))
    return Waiting(tuple(_in_turn(list(best.values()), rows, known, now)), len(without))


def _of_one_text(candidate: Candidate, known: Known) -> tuple[int, bool, float, str]:
    """Which of several predictions for one text stands for it: the smallest."""
    place = {DISPUTED: 0, SAMPLE: 1}.get(candidate.reason, 2)
    has_no_case = candidate.prediction.id not in known.cases
    return place, has_no_case, -candidate.priority, candidate.prediction.id


def _in_turn(
    found: list[Candidate], rows: Sequence[PredictionRow], known: Known, now: datetime
) -> list[Candidate]:
    handed = known.handed_out()
    labels = {row.id: _label(row) for row in rows}
    last: dict[str, int] = {}
    for ago, case in enumerate(handed):
        last.setdefault(labels.get(case.prediction_id, ""), -ago)
    resting = [each for each in found if _given_back(each, known, now)]
    awake = [each for each in found if not _given_back(each, known, now)]
    sample = sorted((c for c in awake if c.reason == SAMPLE), key=lambda c: c.priority)
    others = _spread([c for c in awake if c.reason != SAMPLE], last)
    resting.sort(key=lambda c: known.cases[c.prediction.id].changed)
    return [*_mixed(others, sample, len(handed)), *resting]


def _given_back(candidate: Candidate, known: Known, now: datetime) -> bool:
    """Whether somebody has just given the case back, so that others should come first."""
    case = known.cases.get(candidate.prediction.id)
    if case is None or case.state != OPEN:
        return False
    return case.changed > case.created and now - case.changed < LEASE


def _spread(found: Sequence[Candidate], last: Mapping[str, int]) -> list[Candidate]:
    """Disputes first; then labels in turn, from each the most doubtful that is left.

    :param last: when each label was handed out; the one that has waited longest begins.
    """
    turns: Counter[tuple[bool, str]] = Counter()
    places: dict[str, tuple[bool, int, float]] = {}
    for each in sorted(found, key=lambda c: (-c.priority, c.prediction.id)):
        label, later = _label(each.prediction), each.reason != DISPUTED
        places[each.prediction.id] = (later, turns[later, label], last.get(label, -math.inf))
        turns[later, label] += 1
    return sorted(found, key=lambda c: (*places[c.prediction.id], -c.priority, c.prediction.id))


def _mixed(
    others: Sequence[Candidate], sample: Sequence[Candidate], handed: int
) -> list[Candidate]:
    """Every fifth of the sample, counted with those that were handed out before."""
    others, sample = list(others[::-1]), list(sample[::-1])
    mixed: list[Candidate] = []
    while others or sample:
        due = (handed + len(mixed) + 1) % _FIFTH == 0
        mixed.append((sample if sample and (due or not others) else others).pop())
    return mixed


def _label(row: PredictionRow) -> str:
    """The coarsest label predicted."""
    return next(iter(row.levels.values()))[0]
