"""All figures of one level of the tree. Knows answers at that level, no model and no text."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from pydantic import Field

from patclass.evaluation.answers import LevelAnswers
from patclass.evaluation.calibration import (
    ReliabilityBin,
    expected_calibration_error,
    reliability,
)
from patclass.evaluation.frozen import Frozen
from patclass.evaluation.intervals import Interval, bootstrap
from patclass.evaluation.metrics import Metrics, evaluate
from patclass.evaluation.mistakes import Mistake, mistakes
from patclass.evaluation.selective import (
    OperatingPoint,
    RiskCoverage,
    operating_points,
    risk_coverage,
)
from patclass.evaluation.sets import SetReport, set_report
from patclass.evaluation.slices import Slice, slices


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
    raw: LevelAnswers,
    calibrated: LevelAnswers,
    baselines: Mapping[str, Metrics],
    inside: npt.NDArray[np.bool_] | None = None,
    set_coverage: float = 0.9,
) -> LevelReport:
    """Compute everything about one level.

    :param raw: answers before calibration, to the same rows as ``calibrated``.
    :param inside: which labels are in the set of each row, shape (rows, labels).
    :param set_coverage: share of the rows whose set should hold the true label.
    """
    truth, sure, hits = calibrated.truth, calibrated.confidences, calibrated.hits
    spread = bootstrap(truth, calibrated.answered, len(calibrated.codes))
    return LevelReport(
        metrics=evaluate(truth, calibrated.probabilities, calibrated.codes),
        accuracy_interval=spread.accuracy,
        macro_f1_interval=spread.macro_f1,
        ece_raw=expected_calibration_error(raw.confidences, raw.hits),
        ece=expected_calibration_error(sure, hits),
        reliability_raw=reliability(raw.confidences, raw.hits),
        reliability=reliability(sure, hits),
        risk_coverage=risk_coverage(sure, hits),
        operating_points=operating_points(sure, hits),
        sets=None if inside is None else set_report(inside, truth, set_coverage),
        slices=slices(calibrated.rows, hits),
        mistakes=mistakes(calibrated),
        baselines=dict(baselines),
    )
