"""People's verdicts as rows to learn from, and rows to judge by. Knows no models.

Each text goes where its hash says: six of ten are learnt from, one is validated on, and three are
kept back from every model, to judge whether it has got better. So no later model has seen them.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from patclass.data.examples import Corpus, FeedbackExample
from patclass.data.text import text_sha256
from patclass.learning.review_queue import SAMPLE
from patclass.store.consensus import FeedbackRow, consensus_of, group_by_text
from patclass.store.database import Database
from patclass.store.feedback import FeedbackStore
from patclass.store.reviews import ReviewStore

# Runs of so many words; patents of one family share whole sentences, others hardly any run.
_RUN = 5

# Share of the runs of both that must be the same (Jaccard; Broder 1997, "On the resemblance and
# containment of documents").
NEARLY = 0.5

_WORD = re.compile(r"\w+")


class NearTexts:
    """Texts among which near-duplicates are looked for."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._sizes: list[int] = []
        self._places: dict[int, list[int]] = defaultdict(list)
        for place, text in enumerate(texts):
            runs = _runs(text)
            self._sizes.append(len(runs))
            for run in runs:
                self._places[run].append(place)

    def has(self, text: str) -> bool:
        """Whether one of the texts is nearly the same."""
        return bool(self.places(text))

    def places(self, text: str) -> list[int]:
        """Which of the texts are nearly the same."""
        if not self._sizes:
            return []
        runs = _runs(text)
        shared = Counter(place for run in runs for place in self._places.get(run, ()))
        return [
            place
            for place, both in shared.items()
            if both / (len(runs) + self._sizes[place] - both) >= NEARLY
        ]


def _runs(text: str) -> set[int]:
    """Hashes of all runs of words; of a short text, of its words together."""
    words = _WORD.findall(text.lower())
    if len(words) <= _RUN:
        return {hash(tuple(words))}
    return {hash(tuple(words[start : start + _RUN])) for start in range(len(words) - _RUN + 1)}


TRAIN, VALIDATION, GATE = "train", "validation", "gate"

_PARTS = (*(GATE,) * 3, VALIDATION, *(TRAIN,) * 6)


@dataclass(frozen=True)
class FeedbackParts:
    """What people have said, sorted.

    :param judged: by part: train, validation, gate.
    :param sampled: which of the gate's texts were chosen by chance, by id.
    :param left_out: how many texts could not be used, by reason.
    :param first: number of the first verdict considered, and ``last`` that of the last.
    """

    judged: dict[str, list[FeedbackExample]]
    sampled: frozenset[str]
    left_out: dict[str, int]
    first: int
    last: int

    @property
    def rows(self) -> dict[str, int]:
        """How many texts each part has."""
        return {part: len(rows) for part, rows in self.judged.items()}


@dataclass(frozen=True)
class Known:
    """The texts of the data that models are made from.

    :param held_out: those that they are tested or validated on: what people say of them, or of
        nearly the same, is not learnt from.
    :param trained: those that they learn from, by which they cannot be judged.
    """

    held_out: Sequence[str] = ()
    trained: Sequence[str] = ()

    @classmethod
    def of(cls, corpus: Corpus) -> "Known":
        """The texts of a corpus without people's."""
        held_out = [row.text for split in ("validation", "test") for row in corpus[split]]
        return cls(held_out, [row.text for row in corpus["train"]])


def gather(
    database: Database, known: Known, weight: float, until: int | None = None
) -> FeedbackParts:
    """Sort all verdicts.

    :param weight: what a verdict counts beside a row of the data.
    :param until: the last verdict to consider; None for all there are.
    :raises StoreError: if the store cannot be read.
    """
    said = [g for g in FeedbackStore(database).all() if until is None or g.number <= until]
    held_out, near = _hashes(known.held_out), NearTexts(known.held_out)
    trained = _hashes(known.trained)
    judged: dict[str, list[FeedbackExample]] = {TRAIN: [], VALIDATION: [], GATE: []}
    left_out: Counter[str] = Counter()
    for text_hash, of_text in group_by_text(said).items():
        row = _judged(text_hash, of_text, weight)
        if isinstance(row, str):
            left_out[row] += 1
        elif text_hash in held_out or near.has(row.text):
            left_out["stands in test or validation"] += 1
        elif part_of(text_hash) == GATE and text_hash in trained:
            left_out["learnt from before"] += 1
        else:
            judged[part_of(text_hash)].append(row)
    learnt = [row.text for part in (TRAIN, VALIDATION) for row in judged[part]]
    strange = _strange(judged[GATE], [*learnt, *known.trained])
    if len(strange) < len(judged[GATE]):
        left_out["nearly the same as one learnt from"] = len(judged[GATE]) - len(strange)
    judged[GATE] = strange
    return FeedbackParts(
        judged,
        _sampled(database, judged[GATE], said),
        dict(sorted(left_out.items())),
        said[0].number if said else 0,
        said[-1].number if said else 0,
    )


def part_of(text_hash: str) -> str:
    """Where a text belongs, now and for ever."""
    return _PARTS[int(text_hash[:8], 16) % len(_PARTS)]


def _strange(rows: Sequence[FeedbackExample], learnt: Sequence[str]) -> list[FeedbackExample]:
    """Those of rows that are not nearly the same as a text that is learnt from."""
    near = NearTexts([row.text for row in rows])
    known = {place for text in learnt for place in near.places(text)}
    return [row for place, row in enumerate(rows) if place not in known]


def _hashes(texts: Sequence[str]) -> set[str]:
    return {text_sha256(text) for text in texts}


def _judged(text_hash: str, said: Sequence[FeedbackRow], weight: float) -> FeedbackExample | str:
    """A row to learn from, or why there is none."""
    if not text_hash:
        return "from before texts were known"
    opinion = consensus_of(said)
    text = next((g.feedback.text for g in said if g.feedback.text is not None), None)
    if opinion.disputed:
        return "disputed"
    if opinion.label is None:
        return "nobody knows the label"
    if text is None:
        return "no text kept"
    return FeedbackExample(_id(text_hash), text, opinion.label, weight)


def _id(text_hash: str) -> str:
    return f"people-{text_hash[:12]}"


def _sampled(
    database: Database, rows: Sequence[FeedbackExample], said: Sequence[FeedbackRow]
) -> frozenset[str]:
    """Those of rows whose prediction was reviewed because chance chose it."""
    chosen = {c.prediction_id for c in ReviewStore(database).all() if c.reason == SAMPLE}
    hashes = {g.feedback.text_sha256 for g in said if g.feedback.prediction_id in chosen}
    ids = {_id(text_hash) for text_hash in hashes if text_hash}
    return frozenset(row.id for row in rows if row.id in ids)
