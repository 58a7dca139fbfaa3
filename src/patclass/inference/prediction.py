"""From probabilities to an answer a person can rely on. Knows a label tree, no model.

The answer is the best label of a level. With ``auto`` that is the deepest level whose best
label is as sure as its threshold asks for; where not even the coarsest is, it is answered
there and called unsure.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from patclass.core.errors import ConfigError
from patclass.core.types import FloatArray
from patclass.cpc.symbols import LEVELS
from patclass.cpc.tree import LabelTree
from patclass.predictor.neighbours import Neighbour

AUTO = "auto"

# Thresholds of bundles that know none of their own.
DEFAULT_THRESHOLD = 0.9

# A label that is less probable than this is no alternative.
NOTEWORTHY = 0.001


@dataclass(frozen=True)
class ScoredLabel:
    """One label with its title and its probability."""

    label: str
    name: str
    confidence: float


@dataclass(frozen=True)
class Options:
    """What is asked of a classifier.

    :param level: one of its levels, or ``auto`` for the deepest that is sure enough.
    :param k: how many labels of that level are listed.
    :param threshold: the confidence that ``auto`` asks for; None for the bundle's own.
    :param coverage: also name the set of labels that holds the truth this often.
    :param neighbours: how many of the nearest known patents are named.
    :param explain: also say what each passage contributes.
    :param alternatives: also name the labels of every level that are not all but excluded.
    """

    level: str = AUTO
    k: int = 3
    threshold: float | None = None
    coverage: float | None = None
    neighbours: int = 0
    explain: bool = False
    alternatives: bool = False


@dataclass(frozen=True)
class PassageShare:
    """A passage of the text, as a place in characters, and what it contributes.

    :param contribution: by how much the answer's log probability falls without it; of
        several windows, how far the window's own is above the mean of all.
    """

    start: int
    end: int
    contribution: float


@dataclass(frozen=True)
class Signals:
    """How usual a text is for the model; None where the bundle keeps nothing to compare with.

    :param unseen: share of the text's tokens that the model has not learnt from.
    :param distance: of the text's state from those of the reference; one is usual.
    :param agreement: share of the nearest known patents that have the answer's label.
    """

    oov_rate: float | None = None
    novelty: float | None = None
    agreement: float | None = None


@dataclass(frozen=True)
class Prediction:
    """The answer for one patent.

    :param level: the level of ``label``.
    :param sure: whether its confidence reaches the level's threshold.
    :param path: the label and the labels above it, coarsest first.
    :param levels: the best label of every level.
    :param top: the best labels of the answer's level, in order.
    :param alternatives: of every level the labels of at least ``NOTEWORTHY``, in order, if asked
        for.
    :param set: the labels that hold the truth as often as asked for.
    :param tags: tags with their probabilities.
    :param read: the share of the text that was read, 0 to 1.
    :param passages: what was read, with contributions if asked for.
    :param warnings: reasons in words to doubt the answer.
    :param text: what was given to be read, in whose characters passages are counted.
    :param signals: what is watched to notice that texts are no longer what they were.
    """

    label: str
    name: str
    confidence: float
    level: str
    sure: bool
    path: tuple[ScoredLabel, ...]
    levels: Mapping[str, ScoredLabel]
    top: tuple[ScoredLabel, ...]
    set: tuple[ScoredLabel, ...] | None
    tags: tuple[ScoredLabel, ...]
    read: float
    passages: tuple[PassageShare, ...]
    neighbours: tuple[Neighbour, ...]
    warnings: tuple[str, ...]
    text: str
    signals: Signals = Signals()
    alternatives: Mapping[str, tuple[ScoredLabel, ...]] | None = None


def check_level(tree: LabelTree, level: str) -> None:
    """Refuse a level that the model does not know.

    :raises ConfigError: naming those that it knows.
    """
    if level not in tree.levels:
        raise ConfigError(
            f"--level {level}: this model knows {', '.join(tree.levels)}; use one of them."
        )


def path_to(tree: LabelTree, level: str, code: str) -> tuple[str, ...]:
    """A label's code with those above it, coarsest first."""
    end = tree.levels.index(level) + 1
    return next(path[:end] for path in tree.paths if path[end - 1 : end] == (code,))


def choose_level(
    best: Mapping[str, float], level: str, thresholds: Mapping[str, float]
) -> tuple[str, bool]:
    """The level to answer at, and whether it is sure.

    :param best: the confidence of the best label of each level, coarsest first.
    """
    sure = [name for name, confidence in best.items() if confidence >= thresholds[name]]
    if level != AUTO:
        return level, level in sure
    return (sure[-1], True) if sure else (next(iter(best)), False)


def thresholds_of(
    tree: LabelTree, known: Mapping[str, float], asked: float | None
) -> dict[str, float]:
    """The threshold of every level.

    :raises ConfigError: if ``asked`` is no probability.
    """
    if asked is not None and not 0 <= asked <= 1:
        raise ConfigError(f"--threshold {asked:g}: expected a probability, e.g. 0.9.")
    return {
        level: known.get(level, DEFAULT_THRESHOLD) if asked is None else asked
        for level in tree.levels
    }


def candidates(
    tree: LabelTree, level: str, probabilities: FloatArray, chosen: npt.NDArray[np.intp]
) -> tuple[ScoredLabel, ...]:
    """Labels of a level by position, with their probabilities; shape (labels,)."""
    labels = tree.at(level)
    return tuple(
        ScoredLabel(labels[int(i)].code, labels[int(i)].name, float(probabilities[i]))
        for i in chosen
    )


# The columns of an answer, in their order.
COLUMNS = (
    "id",
    "label",
    "name",
    "confidence",
    "level",
    "sure",
    *(f"{level}{part}" for level in LEVELS for part in ("", "_confidence")),
    "path",
    "top",
    "set",
    "tags",
    "read",
    "passages",
    "neighbours",
    "warnings",
    "error",
)


def record_of(prediction: Prediction) -> dict[str, Any]:
    """The fields of an answer; ``id`` and ``error`` belong to a row and are None here.

    The levels of the scheme that the model does not know are None as well.
    """
    fields: dict[str, Any] = dict.fromkeys(COLUMNS) | asdict(prediction)
    levels = fields.pop("levels")
    del (
        fields["text"],
        fields["alternatives"],
        fields["signals"],
    )  # of one answer on a screen, not of a table
    for level in LEVELS:
        if level in levels:
            fields[level] = levels[level]["label"]
            fields[f"{level}_confidence"] = levels[level]["confidence"]
    return fields
