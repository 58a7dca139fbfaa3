"""A prediction, its options, its record, and what each passage of the text contributes to it.

Knows a label tree and probabilities. A prediction is the most probable label of one level. With
``auto`` that is the deepest level whose best label reaches the level's threshold; if not even the
coarsest does, the prediction is of the coarsest level and ``sure`` is false.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from patclass.core.errors import ConfigError
from patclass.core.types import FloatArray
from patclass.cpc.levels import LEVELS
from patclass.cpc.tree import LabelTree
from patclass.inference.assigned_codes import AssignedCode
from patclass.model.tokenizer import EncodedText
from patclass.predictor.neighbours import Neighbour
from patclass.predictor.pipeline import Pipeline

AUTO = "auto"

# For bundles without calibrated thresholds.
DEFAULT_THRESHOLD = 0.9
DEFAULT_CODE_THRESHOLD = 0.5

# Labels that are less probable than this are not listed as alternatives.
MIN_ALTERNATIVE = 0.001


@dataclass(frozen=True)
class ScoredLabel:
    """A label with its title and its probability."""

    label: str
    name: str
    confidence: float


@dataclass(frozen=True)
class Options:
    """Options of a prediction.

    :param level: a level of the model, or ``auto`` for the deepest that reaches its threshold.
    :param k: how many labels of that level are listed in ``top``.
    :param threshold: the confidence that ``auto`` requires; None for the bundle's thresholds.
    :param coverage: also return the label set that contains the true label with this
        probability, between 0 and 1; None for no label set.
    :param neighbours: how many similar patents are returned.
    :param explain: also compute the contribution of each passage.
    :param alternatives: also return the labels of every level with a probability of at least
        ``MIN_ALTERNATIVE``.
    :param all_codes: also return all codes of the patent, main and additional ones.
    :param precision: choose these so that this share of them is right, from 0.05 to 0.99; with
        ``recall`` None as well, so that F1 is largest.
    :param recall: choose them so that this share of the true ones is among them.
    """

    level: str = AUTO
    k: int = 3
    threshold: float | None = None
    coverage: float | None = None
    neighbours: int = 0
    explain: bool = False
    alternatives: bool = False
    all_codes: bool = False
    precision: float | None = None
    recall: float | None = None


WarningCode = Literal[
    "few_words",
    "no_letters",
    "other_script",
    "other_language",
    "unlike_training",
    "low_confidence",
    "neighbours_disagree",
    "partly_read",
    "no_label_set",
]


@dataclass(frozen=True)
class AnswerWarning:
    """A reason why a prediction may be wrong or incomplete: a code for programs, and a message."""

    code: WarningCode
    message: str


@dataclass(frozen=True)
class PassageShare:
    """A passage of the text, as a span of characters, and its contribution.

    The contribution is the decrease of the label's log probability without the passage; with
    several windows, the window's own log probability less that of all windows together.
    """

    start: int
    end: int
    contribution: float


@dataclass(frozen=True)
class Signals:
    """How usual a text is for the model; None where the bundle has no reference or no index.

    :param oov_rate: out-of-vocabulary rate, the share of tokens that the training texts lack.
    :param novelty: distance of the text's embedding from those of the reference; about one for
        usual texts.
    :param agreement: share of the k nearest neighbours that have the predicted label.
    """

    oov_rate: float | None = None
    novelty: float | None = None
    agreement: float | None = None


@dataclass(frozen=True)
class Prediction:
    """The prediction for one patent.

    :param level: the level of ``label``.
    :param sure: whether its confidence reaches the level's threshold; never for a text in a
        language or script that the model has not learnt from, where confidences say little.
    :param path: the label and its ancestors, coarsest first.
    :param levels: the best label of every level.
    :param top: the best labels of the level, most probable first.
    :param label_set: the labels that contain the true one with the requested coverage.
    :param codes: all codes of the patent, coarsest level first and the most probable of a level
        first, if requested.
    :param read_share: the share of the text that was read, 0 to 1.
    :param passages: what was read, with contributions if requested.
    :param warnings: reasons why the prediction may be wrong.
    :param text: the whole text; passages are spans of its characters.
    :param signals: values by which drift is detected.
    :param alternatives: the labels of every level with a probability of at least
        ``MIN_ALTERNATIVE``, most probable first, if requested.
    """

    label: str
    name: str
    confidence: float
    level: str
    sure: bool
    path: tuple[ScoredLabel, ...]
    levels: Mapping[str, ScoredLabel]
    top: tuple[ScoredLabel, ...]
    label_set: tuple[ScoredLabel, ...] | None
    codes: tuple[AssignedCode, ...] | None
    read_share: float
    passages: tuple[PassageShare, ...]
    neighbours: tuple[Neighbour, ...]
    warnings: tuple[AnswerWarning, ...]
    text: str
    signals: Signals = Signals()
    alternatives: Mapping[str, tuple[ScoredLabel, ...]] | None = None


def check_level(tree: LabelTree, level: str) -> None:
    """Check that the model has a level.

    :raises ConfigError: naming the levels of the model.
    """
    if level not in tree.levels:
        raise ConfigError(
            f"level {level}: this model has {', '.join(tree.levels)}; use one of them.",
            setting="level",
        )


def path_to(tree: LabelTree, level: str, code: str) -> tuple[str, ...]:
    """The codes of a label and its ancestors, coarsest first."""
    end = tree.levels.index(level) + 1
    return next(path[:end] for path in tree.paths if path[end - 1 : end] == (code,))


def choose_level(
    confidences: Mapping[str, float], level: str, thresholds: Mapping[str, float]
) -> tuple[str, bool]:
    """The level of a prediction, and whether it is sure.

    :param confidences: of the best label of each level, coarsest first.
    """
    sure = [name for name, value in confidences.items() if value >= thresholds[name]]
    if level != AUTO:
        return level, level in sure
    return (sure[-1], True) if sure else (next(iter(confidences)), False)


def thresholds_of(
    tree: LabelTree, calibrated: Mapping[str, float], threshold: float | None
) -> dict[str, float]:
    """The threshold of every level.

    :param calibrated: the bundle's thresholds by level.
    :param threshold: replaces all of them, unless None.
    :raises ConfigError: if ``threshold`` is no probability.
    """
    if threshold is not None and not 0 <= threshold <= 1:
        raise ConfigError(
            f"threshold {threshold:g}: expected a probability, e.g. 0.9.", setting="threshold"
        )
    return {
        level: calibrated.get(level, DEFAULT_THRESHOLD) if threshold is None else threshold
        for level in tree.levels
    }


def scored_labels(
    tree: LabelTree, level: str, probabilities: FloatArray, positions: npt.NDArray[np.intp]
) -> tuple[ScoredLabel, ...]:
    """Labels of a level by position.

    :param probabilities: of all labels of the level, shape (labels,).
    """
    labels = tree.at(level)
    return tuple(
        ScoredLabel(labels[int(i)].code, labels[int(i)].name, float(probabilities[i]))
        for i in positions
    )


@dataclass(frozen=True)
class Column:
    """A column of a prediction: its name, its Python type and its description."""

    name: str
    type: Any
    description: str


def _level_columns() -> Iterator[Column]:
    for level in LEVELS:
        yield Column(level, str | None, f"Code of the best {level}; null if the model has none.")
        yield Column(f"{level}_confidence", float | None, f"Probability of the best {level}.")


_Labels = tuple[ScoredLabel, ...]

# The columns of a prediction, in their order: in files, over HTTP and on the command line.
ANSWER_COLUMNS = (
    Column("id", str | None, "The patent's id, as it was sent."),
    Column("label", str, "Code of the predicted label."),
    Column("name", str, "Title of the label."),
    Column("confidence", float, "Calibrated probability of the label."),
    Column("level", str, "Level of the label."),
    Column("sure", bool, "Whether the confidence reaches the level's threshold."),
    *_level_columns(),
    Column("path", _Labels, "The label and its ancestors, coarsest first."),
    Column("top", _Labels, "The best labels of the level, most probable first."),
    Column("label_set", _Labels | None, "The true label is in it with the requested coverage."),
    Column(
        "codes",
        tuple[AssignedCode, ...] | None,
        "All codes of the patent, main and additional, each with a probability of its own.",
    ),
    Column("read_share", float, "Share of the text that was read, 0 to 1."),
    Column("passages", tuple[PassageShare, ...], "What was read, as spans of characters."),
    Column("neighbours", tuple[Neighbour, ...], "Similar patents, most similar first."),
    Column("warnings", tuple[AnswerWarning, ...], "Reasons why the prediction may be wrong."),
    Column("error", str | None, "Why there is no prediction."),
)
COLUMNS = tuple(column.name for column in ANSWER_COLUMNS)

# Files have these only on request: their own columns often have the same name.
ON_REQUEST = ("codes",)


def file_columns(all_codes: bool = False) -> tuple[str, ...]:
    """The columns of ``COLUMNS`` that a file of answers has."""
    return tuple(name for name in COLUMNS if all_codes or name not in ON_REQUEST)


def record_of(prediction: Prediction) -> dict[str, Any]:
    """A prediction as a row with the keys of ``COLUMNS``.

    ``id`` and ``error`` belong to the input and are None here, as are the levels of the CPC that
    the model does not have.
    """
    fields = asdict(prediction)
    for level, best in fields["levels"].items():
        fields[level], fields[f"{level}_confidence"] = best["label"], best["confidence"]
    return {name: fields.get(name) for name in COLUMNS}


MAX_SENTENCES = 16

_SENTENCE = re.compile(r"[^.;!?]+[.;!?]*\s*")


def contributions(
    pipeline: Pipeline, text: str, encoding: EncodedText, logits: FloatArray, level: str, label: str
) -> tuple[PassageShare, ...]:
    """Contributions by window if there are several, else by sentence.

    Of a sentence: the decrease of the label's log probability when the sentence is removed
    (occlusion; Zeiler and Fergus 2014). Of a window: its own log probability of the label less
    that of all windows together.

    :param logits: of the passages, shape (passages, outputs).
    :param label: a label of ``level``.
    """
    if len(encoding.passages) > 1:
        return _by_window(pipeline, encoding, logits, level, label)
    return _by_sentence(pipeline, text[: encoding.passages[0].end], level, label)


def _by_window(
    pipeline: Pipeline, encoding: EncodedText, logits: FloatArray, level: str, label: str
) -> tuple[PassageShare, ...]:
    count = len(pipeline.tree.paths)
    without_linear = replace(pipeline.calibration, linear_weights=())
    every = np.vstack([logits, logits.mean(axis=0)])[:, :count]
    leaves = without_linear.apply(pipeline.tree, every)
    likelihood = _log_likelihood(pipeline, leaves, level, label)
    return tuple(
        PassageShare(passage.start, passage.end, float(own - likelihood[-1]))
        for passage, own in zip(encoding.passages, likelihood[:-1], strict=True)
    )


def _by_sentence(pipeline: Pipeline, text: str, level: str, label: str) -> tuple[PassageShare, ...]:
    spans = _sentences(text)
    if len(spans) == 1:
        return (PassageShare(0, len(text), 0.0),)
    shortened = [text[:start] + text[end:] for start, end in spans]
    leaves = pipeline.run([text, *shortened]).leaves
    likelihood = _log_likelihood(pipeline, leaves, level, label)
    return tuple(
        PassageShare(start, end, float(likelihood[0] - without))
        for (start, end), without in zip(spans, likelihood[1:], strict=True)
    )


def _log_likelihood(pipeline: Pipeline, leaves: FloatArray, level: str, label: str) -> FloatArray:
    position = pipeline.tree.at(level).index(label)
    return np.asarray(np.log(np.maximum(pipeline.tree.sums(leaves, level)[:, position], 1e-12)))


def _sentences(text: str) -> list[tuple[int, int]]:
    """Spans of at most ``MAX_SENTENCES`` sentences; the last one extends to the end."""
    starts = [match.start() for match in _SENTENCE.finditer(text)] or [0]
    starts = [0, *starts[1:MAX_SENTENCES]]
    return list(zip(starts, [*starts[1:], len(text)], strict=True))
