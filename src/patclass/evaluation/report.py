"""A model compared with its baselines on one split, level by level, and the verdict."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from patclass.bundle import Bundle
from patclass.bundle.description import LAYOUT
from patclass.bundle.manifest import parse_json_of, validated
from patclass.core.types import Frozen
from patclass.data.examples import UNKNOWN_LABEL, Corpus, Example, known_at
from patclass.evaluation.calibration import (
    OperatingPoint,
    ReliabilityBin,
    RiskCoverage,
    SetReport,
    expected_calibration_error,
    operating_points,
    reliability,
    risk_coverage,
    set_report,
)
from patclass.evaluation.intervals import Interval, bootstrap
from patclass.evaluation.metrics import (
    CHECK_ONLY,
    Metrics,
    Mistake,
    Slice,
    evaluate,
    mistakes,
    slices,
)
from patclass.evaluation.multilabel import MultilabelMetrics, evaluate_multilabel_levels
from patclass.evaluation.tables import (
    MAX_LABELS,
    classes_text,
    codes_text,
    confusion_text,
    level_text,
)
from patclass.predictor.all_codes import carried_nodes
from patclass.predictor.scored import LabelledPredictions, Scored, predictions_at

if TYPE_CHECKING:
    from patclass.evaluation.baselines import LabelledTexts


class LevelReport(Frozen):
    """Figures of the model at one level, and of the baselines by name where they were fitted.

    ``ece`` is the expected calibration error of the confidences as answered, ``ece_raw`` that
    before calibration; likewise for the bins of the reliability diagrams.
    """

    metrics: Metrics
    accuracy_interval: Interval
    macro_f1_interval: Interval
    ece_raw: float
    ece: float
    reliability_raw: tuple[ReliabilityBin, ...]
    reliability: tuple[ReliabilityBin, ...]
    risk_coverage: RiskCoverage
    operating_points: tuple[OperatingPoint, ...]
    sets: SetReport | None = None
    slices: tuple[Slice, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    baselines: dict[str, Metrics] = Field(default_factory=dict)


def level_report(
    raw: LabelledPredictions,
    calibrated: LabelledPredictions,
    baselines: Mapping[str, Metrics],
    inside: npt.NDArray[np.bool_] | None = None,
    set_coverage: float = 0.9,
) -> LevelReport:
    """Compute everything about one level.

    :param raw: predictions before calibration, for the same rows as ``calibrated``.
    :param inside: which labels are in the set of each row, shape (rows, labels).
    :param set_coverage: share of the rows whose set should hold the true label.
    """
    y_true, sure, correct = calibrated.y_true, calibrated.confidences, calibrated.correct
    spread = bootstrap(y_true, calibrated.y_pred, len(calibrated.codes))
    return LevelReport(
        metrics=evaluate(y_true, calibrated.probabilities, calibrated.codes),
        accuracy_interval=spread.accuracy,
        macro_f1_interval=spread.macro_f1,
        ece_raw=expected_calibration_error(raw.confidences, raw.correct),
        ece=expected_calibration_error(sure, correct),
        reliability_raw=reliability(raw.confidences, raw.correct),
        reliability=reliability(sure, correct),
        risk_coverage=risk_coverage(sure, correct),
        operating_points=operating_points(sure, correct),
        sets=None if inside is None else set_report(inside, y_true, set_coverage),
        slices=slices(calibrated.rows, correct),
        mistakes=mistakes(calibrated),
        baselines=dict(baselines),
    )


class Comparison(NamedTuple):
    """A figure of the model and of a baseline on the same rows."""

    figure: str
    name: str
    model: float
    baseline: float


# Instead of a split, where all rows are trained on.
CROSS_VALIDATION = "cross-validation"


class Report(Frozen):
    """Figures of a model on one split, level by level, coarsest first.

    ``level`` is the one that the verdict is about. Its baselines were fitted and tested on
    the same rows as the model. ``codes`` are figures of all codes by level, on the rows whose codes
    are all known, and of the codes that the model knows; ``codes_baselines`` those of
    TF-IDF one versus rest on the same rows, where it was fitted.
    """

    version: Literal[2] = 2
    split: str
    train_rows: int
    leaked_rows: int
    level: str
    levels: dict[str, LevelReport]
    codes: dict[str, MultilabelMetrics] = Field(default_factory=dict)
    codes_baselines: dict[str, MultilabelMetrics] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _level_is_there(self) -> Self:
        if self.level not in self.levels:
            raise ValueError(f"no figures of level '{self.level}', only of {list(self.levels)}")
        return self

    @property
    def model(self) -> Metrics:
        """Figures of the model at the level that the verdict is about."""
        return self.levels[self.level].metrics

    @property
    def tfidf(self) -> Metrics | None:
        """Figures of TF-IDF + logistic regression at that level, if it was fitted."""
        return self.levels[self.level].baselines.get("tfidf")

    @property
    def comparison(self) -> Comparison | None:
        """Model and baseline by one figure: accuracy, or micro F1 where labels overlap."""
        if self.tfidf is not None:
            name = "TF-IDF + logistic regression"
            return Comparison("accuracy", name, self.model.accuracy, self.tfidf.accuracy)
        pair = (self.codes.get(self.level), self.codes_baselines.get(self.level))
        f1s = [found.micro_f1 for found in pair if found is not None and found.micro_f1 is not None]
        if len(f1s) < len(pair):
            return None
        return Comparison("micro F1", "TF-IDF one versus rest", f1s[0].value, f1s[1].value)

    @property
    def failures(self) -> list[str]:
        """Why the model is not good enough; empty if it is, or if nothing says otherwise."""
        reasons, found = [], self.comparison
        # Of few examples both often get every one right, which is no reason against a model.
        few = self.split == CROSS_VALIDATION
        if found is not None and (
            found.model < found.baseline if few else found.model <= found.baseline
        ):
            reasons.append(
                f"its {found.figure} of {found.model:.1%} does not beat {found.name} on the same "
                f"rows ({found.baseline:.1%})"
            )
        chance = math.log(len(self.model.per_class))
        if not self.model.loss < chance:  # a NaN must not pass
            reasons.append(
                f"its loss of {self.model.loss:.3f} is not better than guessing ({chance:.3f})"
            )
        return reasons

    @property
    def passed(self) -> bool:
        """Whether the model is shown to be worth having."""
        return self.comparison is not None and not self.failures

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        if self.failures:
            return f"FAILED: the model is not worth using: {'; '.join(self.failures)}."
        found = self.comparison
        if found is None:
            return (
                f"not compared: {self.model.accuracy:.1%} accuracy, but no baseline was fitted "
                f"on the same rows."
            )
        gain = (found.model - found.baseline) * 100
        return (
            f"passed: {found.model:.1%} {found.figure}, {gain:+.1f} points against {found.name} "
            "on the same rows."
        )

    def text(self) -> str:
        """The whole report as plain text tables; labels one by one only if they are few."""
        parts = [level_text(level, report) for level, report in self.levels.items()]
        if self.codes:
            parts.append(codes_text(self.codes, self.codes_baselines))
        if len(self.model.per_class) <= MAX_LABELS:
            parts += [classes_text(self.model), confusion_text(self.model)]
        last = f"{self.split}, {self.model.rows} rows: {self.verdict}"
        if self.leaked_rows:
            last = f"warning: {self.leaked_rows} {self.split} texts also stand in train.\n" + last
        if self.split == "validation":
            last = "note: calibration and thresholds were fitted on such rows.\n" + last
        return "\n\n".join([*parts, last])


def measure(
    scored: Scored,
    corpus: Corpus,
    split: str,
    baseline_levels: Sequence[str],
    sets: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    set_coverage: float = 0.9,
) -> Report:
    """Report on the model's predictions for ``split``.

    Levels at which no row has a known label are left out; the verdict is about the coarsest
    of the others.

    :param baseline_levels: where both baselines are fitted on the corpus' train rows.
    :param sets: for some levels, which labels are in the set of each row, shape (rows, labels);
        rows are all those of ``scored``.
    :param set_coverage: share of the rows whose set should hold the true label.
    :raises ValueError: if no row has a known label at any level.
    """
    levels = {}
    for level in scored.tree.levels:
        baselines = _baselines(corpus, scored, level) if level in baseline_levels else {}
        found = _level(scored, level, baselines, (sets or {}).get(level), set_coverage)
        if found is not None:
            levels[level] = found
    if not levels:
        raise ValueError(f"nothing to evaluate: no row of {split} has a known label")
    return Report(
        split=split,
        train_rows=len(corpus["train"]),
        leaked_rows=corpus.leaked(split),
        level=next(iter(levels)),
        levels=levels,
        codes=_codes(scored),
        codes_baselines=_codes_baselines(corpus, scored, baseline_levels),
    )


def _codes(scored: Scored) -> dict[str, MultilabelMetrics]:
    """Figures of all codes on the rows whose codes are all known; none without such rows."""
    tree = scored.tree
    known = [row for row, example in enumerate(scored.rows) if example.carried is not None]
    if not known or not tree.nodes:
        return {}
    y_true, _ = carried_nodes([scored.rows[row] for row in known], tree)
    given = None if scored.given is None else scored.given[known]
    return evaluate_multilabel_levels(
        tree.levels, tree.node_depths, y_true, scored.nodes[known], given
    )


def _codes_baselines(
    corpus: Corpus, scored: Scored, levels: Sequence[str]
) -> dict[str, MultilabelMetrics]:
    """Figures of TF-IDF one versus rest; none if a split has no row whose codes are all known."""
    from patclass.evaluation.baselines import MultilabelTexts, tfidf_one_vs_rest

    tree = scored.tree
    columns = np.flatnonzero([tree.levels[depth] in levels for depth in tree.node_depths])
    known = [
        [row for row in rows if row.carried is not None]
        for rows in (corpus["train"], corpus["validation"], scored.rows)
    ]
    if not len(columns) or not all(known):
        return {}
    train, validation, test = (
        MultilabelTexts([row.text for row in rows], carried_nodes(rows, tree)[0][:, columns])
        for rows in known
    )
    depths = tree.node_depths[columns]
    return tfidf_one_vs_rest(train, validation, test, tree.levels, depths)


def _level(
    scored: Scored,
    level: str,
    baselines: Mapping[str, Metrics],
    inside: npt.NDArray[np.bool_] | None,
    set_coverage: float,
) -> LevelReport | None:
    raw = predictions_at(scored.rows, scored.raw, scored.tree, level)
    calibrated = predictions_at(scored.rows, scored.calibrated, scored.tree, level)
    if raw is None or calibrated is None:
        return None
    if inside is not None:
        inside = inside[calibrated.places]
    return level_report(raw, calibrated, baselines, inside, set_coverage)


def _baselines(corpus: Corpus, scored: Scored, level: str) -> dict[str, Metrics]:
    """Both baselines by name; none if train or the split has no row with a known label."""
    from patclass.evaluation.baselines import majority, tfidf_regression  # needs scikit-learn

    depth, codes = scored.tree.levels.index(level), scored.tree.at(level).codes
    if scored.tree.overlapping:
        return {}  # they learn one label a row
    # A label that the tree lacks can be tested on (no prediction is correct), but not learnt.
    train, test = _labelled(corpus["train"], depth, 0), _labelled(scored.rows, depth)
    if not len(train.texts) or not len(test.texts):
        return {}
    validation = _labelled(corpus["validation"], depth)
    return {
        "majority": majority(train, test, codes),
        "tfidf": tfidf_regression(train, validation, test, codes),
    }


def _labelled(rows: Sequence[Example], depth: int, lowest: int = UNKNOWN_LABEL) -> "LabelledTexts":
    """The rows whose label is known at a level, and not below the position ``lowest``."""
    from patclass.evaluation.baselines import LabelledTexts

    places, y_true = known_at(rows, depth)
    kept = y_true >= lowest
    return LabelledTexts([rows[place].text for place in places[kept].tolist()], y_true[kept])


def check_report(bundle: Bundle) -> bytes | None:
    """The stored report of a bundle, found to be one; None if it has none.

    :raises BundleError: naming where it is damaged.
    """
    path, data = bundle.folder / LAYOUT.report, bundle.listed.read(LAYOUT.report)
    if data is None:
        return None
    validated(parse_json_of(path, data), path, Report, CHECK_ONLY)
    return data
