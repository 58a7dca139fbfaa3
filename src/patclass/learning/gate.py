"""The gate: whether a candidate may replace the champion. Knows predictions, no models.

Five checks, each with a message that states its figures. All must pass: a candidate stays a
candidate unless it is shown to be as good as the champion everywhere, and better on feedback.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from patclass.bundle.description import Lineage
from patclass.core.html import template
from patclass.core.types import FloatArray, Frozen
from patclass.cpc.scheme import official_title
from patclass.evaluation.calibration import expected_calibration_error
from patclass.evaluation.compare import SIGNIFICANCE, Comparison, compare

# Largest loss of accuracy, in percentage points, overall (if it is not significant) and by label.
MAX_OVERALL_LOSS = 1.0
MAX_LABEL_LOSS = 3.0
MIN_LABEL_ROWS = 30

# Below the coarsest level there are hundreds of labels with few rows each. There a loss only
# counts if it is significant at this level, corrected for the number of labels (Bonferroni).
LABEL_ALPHA = 0.05

# Largest increase of the expected calibration error; below the second value any increase passes.
MAX_ECE_INCREASE = 0.01
GOOD_ECE = 0.03

# Fewest examples of feedback for a decision.
MIN_FEEDBACK = 30

# Reviewers may agree with the candidate less often than expected by this share, or by this many
# standard errors (the 99 % quantile of the normal distribution). With one label in six wrong the
# difference is larger.
MAX_AGREEMENT_LOSS = 0.1
AGREEMENT_QUANTILE = 2.326

# Bins of held-out rows by confidence.
BINS = 10


@dataclass(frozen=True)
class LevelPredictions:
    """One model's predictions at one level.

    :param labels: the predicted labels, one for each row.
    :param confidences: of these labels, shape (n_rows,).
    """

    labels: Sequence[str]
    confidences: FloatArray

    def take(self, positions: Sequence[int]) -> "LevelPredictions":
        """The predictions of some rows."""
        chosen = np.array(positions, dtype=np.intp)
        return LevelPredictions([self.labels[i] for i in positions], self.confidences[chosen])


@dataclass(frozen=True)
class PairedPredictions:
    """True labels and both models' predictions for the same rows.

    :param y_true: the true labels, one for each row.
    :param sampled: whether each row belongs to a random sample; empty if that is not known.
    """

    y_true: Sequence[str]
    champion: LevelPredictions
    candidate: LevelPredictions
    sampled: Sequence[bool] = ()


class Check(Frozen):
    """One condition, whether it is met, and a message with its figures."""

    name: str
    passed: bool
    message: str


class LabelChange(Frozen):
    """Rows of one label, and how many of them each model predicts correctly.

    ``lost`` is the number that only the champion predicts correctly.
    """

    level: str
    label: str
    rows: int
    champion: int
    candidate: int
    lost: int

    @property
    def points(self) -> float:
        """The candidate's gain in percentage points."""
        return 100 * (self.candidate - self.champion) / self.rows

    @property
    def p(self) -> float:
        """The p-value of the loss: McNemar's exact test, one-sided."""
        gained = self.candidate - self.champion + self.lost
        if not gained + self.lost:
            return 1.0
        return float(binomtest(self.lost, gained + self.lost, alternative="greater").pvalue)


class Decision(Frozen):
    """The gate's decision and the figures that it is based on."""

    champion: str
    candidate: str
    checks: tuple[Check, ...]
    levels: tuple[Comparison, ...]
    labels: tuple[LabelChange, ...]
    feedback: Comparison | None

    @property
    def passed(self) -> bool:
        """Whether all checks pass."""
        return all(check.passed for check in self.checks)

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The comparison at each level, coarsest first, and on feedback if there is any."""
        return self.levels if self.feedback is None else (*self.levels, self.feedback)

    def reported_labels(self, level: str) -> tuple[LabelChange, ...]:
        """The labels of a level that the page shows: those checked; at the coarsest level all."""
        coarsest = level == self.levels[0].level
        labels = (label for label in self.labels if label.level == level)
        return tuple(label for label in labels if coarsest or label.rows >= MIN_LABEL_ROWS)

    def text(self) -> str:
        """The decision for the terminal, one check a line."""
        verb = "may replace" if self.passed else "is refused as a replacement of"
        lines = [f"{self.candidate} {verb} {self.champion}"]
        lines += [f"  {'passed' if c.passed else 'FAILED'}  {c.message}" for c in self.checks]
        return "\n".join(lines)


def decide(
    names: tuple[str, str],
    held_out: Mapping[str, PairedPredictions],
    coarsest_feedback: PairedPredictions,
    finest_feedback: PairedPredictions,
    *,
    seed: int = 0,
) -> Decision:
    """Compare a candidate with the champion.

    Neither model may have been trained on any of the rows.

    :param names: versions of the champion and of the candidate.
    :param held_out: for each level, coarsest first, labelled rows of the data.
    :param coarsest_feedback: texts with feedback, at the coarsest level.
    :param finest_feedback: the same texts, each at the finest level that its feedback reaches.
    :param seed: of the bootstrap.
    """
    coarsest = next(iter(held_out.values()))
    levels = tuple(_compare(rows, name, names, seed) for name, rows in held_out.items())
    labels = tuple(c for name, rows in held_out.items() for c in _label_changes(name, rows))
    has_feedback = len(finest_feedback.y_true) > 0
    feedback = _compare(finest_feedback, "feedback", names, seed) if has_feedback else None
    return Decision(
        champion=names[0],
        candidate=names[1],
        checks=(
            _check_overall(levels),
            _check_labels(labels),
            _check_calibration(held_out),
            _check_feedback(feedback),
            _check_feedback_quality(coarsest_feedback, coarsest),
        ),
        levels=levels,
        labels=labels,
        feedback=feedback,
    )


def _compare(rows: PairedPredictions, level: str, names: tuple[str, str], seed: int) -> Comparison:
    columns = (rows.y_true, rows.champion.labels, rows.candidate.labels)
    positions = {label: i for i, label in enumerate(sorted(set().union(*columns)))}
    y_true, champion, candidate = ([positions[label] for label in column] for column in columns)
    return compare(y_true, champion, candidate, level=level, names=names, seed=seed)


def _correct(rows: PairedPredictions, model: LevelPredictions) -> npt.NDArray[np.bool_]:
    """Whether each prediction is correct, shape (n_rows,)."""
    return np.asarray(np.array(model.labels) == np.array(rows.y_true), dtype=np.bool_)


def _check_overall(levels: Sequence[Comparison]) -> Check:
    worse = [c for c in levels if c.better == 0 or c.accuracy.points < -MAX_OVERALL_LOSS]
    figures = "; ".join(
        f"{c.level} {c.accuracy.points:+z.1f} points ({c.accuracy.low:+z.1f} to "
        f"{c.accuracy.high:+z.1f}) on {c.rows:,} rows"
        for c in worse or levels
    )
    message = f"{'worse' if worse else 'not worse'} on held-out rows: {figures}"
    return Check(name="overall", passed=not worse, message=message)


def _label_changes(level: str, rows: PairedPredictions) -> Iterator[LabelChange]:
    y_true = np.array(rows.y_true)
    champion, candidate = _correct(rows, rows.champion), _correct(rows, rows.candidate)
    for label in sorted(set(rows.y_true)):
        of_label = y_true == label
        yield LabelChange(
            level=level,
            label=label,
            rows=int(of_label.sum()),
            champion=int(champion[of_label].sum()),
            candidate=int(candidate[of_label].sum()),
            lost=int((champion & ~candidate)[of_label].sum()),
        )


def _check_labels(labels: Sequence[LabelChange]) -> Check:
    checked = [label for label in labels if label.rows >= MIN_LABEL_ROWS]
    n_checked = Counter(label.level for label in checked)
    worse = [
        label
        for label in checked
        if label.points < -MAX_LABEL_LOSS
        and (label.level == labels[0].level or label.p < LABEL_ALPHA / n_checked[label.level])
    ]
    if worse:
        figures = ", ".join(f"{c.label} {c.points:+.1f} points on {c.rows} rows" for c in worse)
        message = f"a label loses more than {MAX_LABEL_LOSS:g} points: {figures}"
    else:
        worst = min(checked, key=lambda label: label.points, default=None)
        figures = "" if worst is None else f"; the worst is {worst.label} with {worst.points:+.1f}"
        message = (
            f"none of {len(checked)} labels loses more than {MAX_LABEL_LOSS:g} points{figures}"
        )
    return Check(name="labels", passed=not worse, message=message)


def _check_calibration(held_out: Mapping[str, PairedPredictions]) -> Check:
    figures, passed = [], True
    for level, rows in held_out.items():
        champion, candidate = (
            expected_calibration_error(model.confidences, _correct(rows, model))
            for model in (rows.champion, rows.candidate)
        )
        passed &= bool(candidate <= max(GOOD_ECE, champion + MAX_ECE_INCREASE))
        figures.append(f"{level} {candidate:.3f}, champion {champion:.3f}")
    message = (
        f"{'calibrated' if passed else 'not calibrated'}: expected calibration error "
        f"{'; '.join(figures)}"
    )
    return Check(name="calibration", passed=passed, message=message)


def _check_feedback(feedback: Comparison | None) -> Check:
    """Whether the candidate is significantly better on feedback."""
    rows = 0 if feedback is None else feedback.rows
    if feedback is None or rows < MIN_FEEDBACK:
        message = f"too little feedback to compare the models: {rows} of {MIN_FEEDBACK} texts"
        return Check(name="feedback", passed=False, message=message)
    gained, lost = feedback.only_b, feedback.only_a
    p = binomtest(gained, gained + lost, alternative="greater").pvalue if gained + lost else 1.0
    message = (
        f"{'better' if p < SIGNIFICANCE else 'not better'} on feedback: "
        f"{feedback.accuracy.a:.1%} to {feedback.accuracy.b:.1%} of {rows} held-out texts; "
        f"{gained} gained, {lost} lost (p = {p:.2g})"
    )
    return Check(name="feedback", passed=bool(p < SIGNIFICANCE), message=message)


def _check_feedback_quality(feedback: PairedPredictions, held_out: PairedPredictions) -> Check:
    """Whether reviewers agree with the candidate as often as expected from its confidences.

    The expected agreement is the candidate's accuracy on held-out rows of equal confidence. A much
    lower one means that many labels of reviewers are wrong, or that the candidate is wrong on live
    texts far more often; in both cases it must not be promoted. Only the random sample is used if
    it is large enough, as reviewers prefer to give feedback on errors.
    """
    sampled = np.array(feedback.sampled, dtype=bool)
    use_sample = int(sampled.sum()) >= MIN_FEEDBACK
    chosen = sampled if use_sample else np.ones(len(feedback.y_true), dtype=bool)
    rows = int(chosen.sum())
    if rows < MIN_FEEDBACK:
        message = f"too little feedback to check its quality: {rows} of {MIN_FEEDBACK} texts"
        return Check(name="feedback_quality", passed=False, message=message)
    expected = _expected_accuracy(held_out, feedback.candidate.confidences[chosen])
    agreement = _correct(feedback, feedback.candidate)[chosen].mean()
    # Both shares are estimates: one from these rows, the other from the held-out rows.
    variance = (expected * (1 - expected)).mean() * (1 / rows + 1 / len(held_out.y_true))
    tolerance = max(MAX_AGREEMENT_LOSS, AGREEMENT_QUANTILE * float(np.sqrt(variance)))
    passed = bool(agreement >= expected.mean() - tolerance)
    message = (
        f"feedback is {'reliable' if passed else 'not reliable'}: it agrees with {agreement:.1%} "
        f"of the candidate's predictions for {rows} "
        f"{'randomly sampled' if use_sample else 'held-out'} texts, "
        f"{expected.mean():.1%} expected"
        f"{'' if passed else '; too many labels are wrong: have them reviewed'}"
    )
    return Check(name="feedback_quality", passed=passed, message=message)


def _expected_accuracy(
    held_out: PairedPredictions, confidences: FloatArray
) -> npt.NDArray[np.float64]:
    """The candidate's accuracy on held-out rows of the same bin of confidences.

    :param confidences: shape (n,).
    :return: shape (n,).
    """
    candidate = held_out.candidate
    correct = _correct(held_out, candidate)
    edges = np.unique(np.quantile(candidate.confidences, np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, candidate.confidences)
    n_rows = np.bincount(bins, minlength=len(edges) + 1)
    n_correct = np.bincount(bins, correct, minlength=len(edges) + 1)
    accuracies = np.where(n_rows > 0, n_correct / np.maximum(1, n_rows), correct.mean())
    return np.asarray(accuracies[np.searchsorted(edges, confidences)], dtype=np.float64)


def html_decision(decision: Decision, lineage: Lineage | None) -> str:
    """The decision as a page.

    :param lineage: what the candidate was trained on, if it was retrained from feedback.
    """
    return template("learning", "decision.html.j2").render(
        decision=decision,
        lineage=lineage,
        title_of=official_title,
        label_rows=MIN_LABEL_ROWS,
    )
