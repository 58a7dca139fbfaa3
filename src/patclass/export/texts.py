"""The texts on which a quantisation is tuned and judged. Knows corpora, no model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from patclass.data.corpus import Corpus, Example
from patclass.errors import DataError

# So many are enough for the ranges of activations.
CALIBRATION_TEXTS = 300

# Two in a hundred is what may differ; on fewer texts that is too coarse a measure. More than
# twice as many only take time.
PARITY_TEXTS = 1000

# Which part of a text stands for another text, where there are too few: halves and thirds.
_PARTS = ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


@dataclass(frozen=True)
class ExportTexts:
    """Texts to tune on, and other rows to judge by.

    :param source: in words, what the rows are.
    """

    calibration: list[str]
    rows: list[Example]
    source: str


def choose_texts(corpus: Corpus, wanted: int = PARITY_TEXTS) -> ExportTexts:
    """Tune on train; judge on validation and test, then on the rest of train, then on parts.

    :raises DataError: if all of it together is too little.
    """
    train = corpus["train"]
    chosen = _spread(len(train), min(CALIBRATION_TEXTS, max(1, len(train) // 2)))
    tuned = [train[place] for place in sorted(chosen)]
    rows = [*corpus["validation"], *corpus["test"]]
    words = "its validation and test rows"
    if len(rows) < wanted:
        rows += [row for place, row in enumerate(train) if place not in chosen]
        words = "all rows that did not tune it"
    rows = [rows[place] for place in sorted(_spread(len(rows), min(len(rows), 2 * wanted)))]
    whole = len(rows)
    if whole < wanted:
        rows = _with_parts(rows, wanted)
        words = f"{whole} rows and parts of them"
    if len(rows) < wanted:
        raise DataError(
            f"{corpus.source} gives {len(rows)} texts to compare on; {wanted:,} are needed. Name "
            "more patents with --data; labels may be missing."
        )
    return ExportTexts([row.text for row in tuned], rows, f"{corpus.source}: {words}")


def _spread(count: int, chosen: int) -> set[int]:
    """So many of ``count`` places, evenly: files are often sorted by something."""
    return {place * count // chosen for place in range(chosen)}


def _with_parts(rows: Sequence[Example], wanted: int) -> list[Example]:
    found = list(rows)
    for number, of in _PARTS:
        for row in rows:
            words = row.text.split()
            part = words[len(words) * number // of : len(words) * (number + 1) // of]
            if len(found) < wanted and part:
                found.append(replace(row, text=" ".join(part)))
    return found
