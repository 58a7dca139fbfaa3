"""Feedback as examples to train on, and to evaluate by. Knows no models.

The SHA-256 of a text decides what it is used for: six texts in ten for training, one for
validation, and three for the gate, which compares models on them. As that never changes, no later
model is trained on a text of the gate either.
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

# Words in a shingle; patents of one family share whole sentences, others hardly any shingle.
_SHINGLE_SIZE = 5

# Jaccard similarity of the shingles from which on texts are near-duplicates (Broder 1997, "On the
# resemblance and containment of documents").
MIN_SIMILARITY = 0.5

_WORD = re.compile(r"\w+")


class NearDuplicateIndex:
    """Texts among which near-duplicates of others are found."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._sizes: list[int] = []
        self._positions: dict[int, list[int]] = defaultdict(list)
        for position, text in enumerate(texts):
            shingles = _shingles(text)
            self._sizes.append(len(shingles))
            for shingle in shingles:
                self._positions[shingle].append(position)

    def contains(self, text: str) -> bool:
        """Whether one of the texts is a near-duplicate of ``text``."""
        return bool(self.find(text))

    def find(self, text: str) -> list[int]:
        """Positions of the texts that are near-duplicates of ``text``."""
        if not self._sizes:
            return []
        shingles = _shingles(text)
        shared = Counter(
            position for shingle in shingles for position in self._positions.get(shingle, ())
        )
        return [
            position
            for position, count in shared.items()
            if count / (len(shingles) + self._sizes[position] - count) >= MIN_SIMILARITY
        ]


def _shingles(text: str) -> set[int]:
    """Hashes of all sequences of five words; a shorter text is one shingle."""
    words = _WORD.findall(text.lower())
    starts = range(max(1, len(words) - _SHINGLE_SIZE + 1))
    return {hash(tuple(words[start : start + _SHINGLE_SIZE])) for start in starts}


TRAIN, VALIDATION, GATE = "train", "validation", "gate"

_PARTS = (GATE,) * 3 + (VALIDATION,) + (TRAIN,) * 6


@dataclass(frozen=True)
class FeedbackParts:
    """Feedback as examples, split into parts.

    :param examples: by part: train, validation, gate.
    :param sampled: ids of the gate's examples that were reviewed because they were drawn at random.
    :param left_out: how many texts could not be used, by reason.
    :param first: number of the first row of feedback considered, and ``last`` that of the last.
    """

    examples: dict[str, list[FeedbackExample]]
    sampled: frozenset[str]
    left_out: dict[str, int]
    first: int
    last: int

    @property
    def counts(self) -> dict[str, int]:
        """Number of examples of each part."""
        return {part: len(examples) for part, examples in self.examples.items()}


@dataclass(frozen=True)
class CorpusTexts:
    """The texts of the data that models are made from.

    :param held_out: of its validation and test rows; feedback on these, or on near-duplicates of
        these, is not used.
    :param train: of its training rows; feedback on these is not used by the gate.
    """

    held_out: Sequence[str] = ()
    train: Sequence[str] = ()

    @classmethod
    def of(cls, corpus: Corpus) -> "CorpusTexts":
        """The texts of a corpus that was loaded without feedback."""
        held_out = [row.text for split in ("validation", "test") for row in corpus[split]]
        return cls(held_out, [row.text for row in corpus["train"]])


def split_feedback(
    database: Database, corpus_texts: CorpusTexts, weight: float, until: int | None = None
) -> FeedbackParts:
    """Split all feedback into parts.

    :param weight: weight of an example of feedback in training; a row of the data has 1.
    :param until: number of the last row of feedback to consider; None for all.
    :raises StoreError: if the store cannot be read.
    """
    rows = [row for row in FeedbackStore(database).all() if until is None or row.number <= until]
    held_out, near_held_out = (
        _hashes(corpus_texts.held_out),
        NearDuplicateIndex(corpus_texts.held_out),
    )
    trained = _hashes(corpus_texts.train)
    examples: dict[str, list[FeedbackExample]] = {TRAIN: [], VALIDATION: [], GATE: []}
    left_out: Counter[str] = Counter()
    for text_hash, rows_of_text in group_by_text(rows).items():
        example = _example(text_hash, rows_of_text, weight)
        part = part_of(text_hash) if text_hash else ""
        if isinstance(example, str):
            left_out[example] += 1
        elif text_hash in held_out or near_held_out.contains(example.text):
            left_out["in the test or validation data"] += 1
        elif part == GATE and text_hash in trained:
            left_out["in the training data"] += 1
        else:
            examples[part].append(example)
    used_in_training = [row.text for part in (TRAIN, VALIDATION) for row in examples[part]]
    gate = _without_near_duplicates(examples[GATE], [*used_in_training, *corpus_texts.train])
    if len(gate) < len(examples[GATE]):
        left_out["near-duplicate of a training text"] = len(examples[GATE]) - len(gate)
    examples[GATE] = gate
    return FeedbackParts(
        examples,
        _sampled(database, gate, rows),
        dict(sorted(left_out.items())),
        rows[0].number if rows else 0,
        rows[-1].number if rows else 0,
    )


def part_of(text_hash: str) -> str:
    """The part of a text with this SHA-256; it never changes."""
    return _PARTS[int(text_hash[:8], 16) % len(_PARTS)]


def _without_near_duplicates(
    examples: Sequence[FeedbackExample], texts: Sequence[str]
) -> list[FeedbackExample]:
    """The examples that are not near-duplicates of any of ``texts``."""
    index = NearDuplicateIndex([example.text for example in examples])
    duplicates = {position for text in texts for position in index.find(text)}
    return [each for position, each in enumerate(examples) if position not in duplicates]


def _hashes(texts: Sequence[str]) -> set[str]:
    return {text_sha256(text) for text in texts}


def _example(text_hash: str, rows: Sequence[FeedbackRow], weight: float) -> FeedbackExample | str:
    """The example that feedback on one text amounts to, or why there is none."""
    if not text_hash:
        return "text not identified"
    consensus = consensus_of(rows)
    if consensus.disputed:
        return "disputed"
    if consensus.label is None:
        return "correct label not known"
    text = next((row.feedback.text for row in rows if row.feedback.text is not None), None)
    if text is None:
        return "text not stored"
    return FeedbackExample(_example_id(text_hash), text, consensus.label, weight)


def _example_id(text_hash: str) -> str:
    return f"feedback-{text_hash[:12]}"


def _sampled(
    database: Database, examples: Sequence[FeedbackExample], rows: Sequence[FeedbackRow]
) -> frozenset[str]:
    """Ids of the examples with a prediction that was reviewed as part of the random sample."""
    predictions = {c.prediction_id for c in ReviewStore(database).all() if c.reason == SAMPLE}
    hashes = {row.feedback.text_sha256 for row in rows if row.feedback.prediction_id in predictions}
    ids = {_example_id(text_hash) for text_hash in hashes if text_hash}
    return frozenset(example.id for example in examples if example.id in ids)
