"""Whether a candidate may take the champion's place. Knows answers and truth, no models.

Five checks, each with its numbers in a sentence. All must hold: a candidate that cannot be shown
to be as good everywhere, and better where people have corrected, stays a candidate.
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
from patclass.cpc.scheme import titles
from patclass.evaluation.calibration import expected_calibration_error
from patclass.evaluation.compare import SIGNIFICANCE, Comparison, compare

# Points of accuracy that may be lost overall if chance can explain them, and by any one label.
OVERALL_POINTS = 1.0
LABEL_POINTS = 3.0
LABEL_ROWS = 30

# Below the coarsest level there are hundreds of labels, and of each few rows: there only a loss
# that chance brings about in so few candidates counts, all labels of a level taken together.
LABEL_CHANCE = 0.05

# The calibration error may grow by so much, or stay below so much.
CALIBRATION_GROWTH = 0.01
CALIBRATION_FINE = 0.03

# With fewer verdicts nothing can be said of them.
VERDICTS = 30

# People may agree less often than they should by so much, and by what chance brings about in one
# set of verdicts of a hundred (standard deviations). With one verdict in six wrong, they do not.
TRUST_SHARE = 0.1
TRUST = 2.326

# Groups of held-out answers that are equally sure.
BINS = 10


@dataclass(frozen=True)
class Answered:
    """One model's answers at one level to the same rows.

    :param codes: the labels answered.
    :param confidences: of them, shape (rows,).
    """

    codes: Sequence[str]
    confidences: FloatArray


@dataclass(frozen=True)
class Rows:
    """Rows with the truth and both models' answers at one level.

    :param truth: the true codes.
    :param sampled: whether chance alone chose the row; empty if that is not known of any.
    """

    truth: Sequence[str]
    champion: Answered
    candidate: Answered
    sampled: Sequence[bool] = ()


class Check(Frozen):
    """One condition, whether it holds, and its numbers in words."""

    name: str
    passed: bool
    sentence: str


class LabelChange(Frozen):
    """How many rows of a label each model gets right; ``lost`` only the champion."""

    level: str
    label: str
    rows: int
    champion: int
    candidate: int
    lost: int

    @property
    def points(self) -> float:
        """What the candidate gains, in points."""
        return 100 * (self.candidate - self.champion) / self.rows

    @property
    def p(self) -> float:
        """How often chance alone loses so much (McNemar's exact test, one-sided)."""
        gained = self.candidate - self.champion + self.lost
        if not gained + self.lost:
            return 1.0
        return float(binomtest(self.lost, gained + self.lost, alternative="greater").pvalue)


class Decision(Frozen):
    """What was decided, and by which numbers."""

    champion: str
    candidate: str
    checks: tuple[Check, ...]
    levels: tuple[Comparison, ...]
    labels: tuple[LabelChange, ...]
    feedback: Comparison | None

    @property
    def passed(self) -> bool:
        """Whether all checks hold."""
        return all(check.passed for check in self.checks)

    @property
    def compared(self) -> tuple[Comparison, ...]:
        """All that was compared: the levels, coarsest first, and the verdicts if there are any."""
        return self.levels if self.feedback is None else (*self.levels, self.feedback)

    def shown(self, level: str) -> tuple[LabelChange, ...]:
        """The labels of a level that a reader is shown: of the coarsest all, else those judged."""
        every = level == self.levels[0].level
        there = (label for label in self.labels if label.level == level)
        return tuple(label for label in there if every or label.rows >= LABEL_ROWS)

    def text(self) -> str:
        """The decision in words, one check a line."""
        verdict = "may take the place of" if self.passed else "is refused in the place of"
        lines = [f"{self.candidate} {verdict} {self.champion}"]
        lines += [f"  {'holds' if c.passed else 'FAILS'}  {c.sentence}" for c in self.checks]
        return "\n".join(lines)


def decide(
    names: tuple[str, str],
    held_out: Mapping[str, Rows],
    verdicts: Rows,
    finest: Rows,
    *,
    seed: int = 0,
) -> Decision:
    """Compare a candidate with the champion.

    :param names: versions of the champion and of the candidate.
    :param held_out: for each level, coarsest first, rows of the data that neither has learnt from.
    :param verdicts: what people held to be right, at the coarsest level; of texts that neither has
        learnt from.
    :param finest: the same, each at the finest level that the verdict reaches.
    """
    coarsest = next(iter(held_out.values()))
    levels = tuple(_compare(rows, name, names, seed) for name, rows in held_out.items())
    labels = tuple(change for name, rows in held_out.items() for change in _labels(name, rows))
    feedback = _compare(finest, "verdicts", names, seed) if len(finest.truth) else None
    return Decision(
        champion=names[0],
        candidate=names[1],
        checks=(
            _overall(levels),
            _each_label(labels),
            _calibration(held_out),
            _better_on_feedback(feedback),
            _trustworthy(verdicts, coarsest),
        ),
        levels=levels,
        labels=labels,
        feedback=feedback,
    )


def _compare(rows: Rows, level: str, names: tuple[str, str], seed: int) -> Comparison:
    given = (rows.truth, rows.champion.codes, rows.candidate.codes)
    places = {code: place for place, code in enumerate(sorted(set().union(*given)))}
    truth, champion, candidate = ([places[code] for code in column] for column in given)
    return compare(truth, champion, candidate, level=level, names=names, seed=seed)


def _overall(levels: Sequence[Comparison]) -> Check:
    worse = [c for c in levels if c.better == 0 or c.accuracy.points < -OVERALL_POINTS]
    told = "; ".join(
        f"{c.level} {c.accuracy.points:+z.1f} points ({c.accuracy.low:+z.1f} to "
        f"{c.accuracy.high:+z.1f}) on {c.rows:,} rows"
        for c in worse or levels
    )
    sentence = f"{'worse' if worse else 'not worse'} on held-out rows: {told}"
    return Check(name="overall", passed=not worse, sentence=sentence)


def _labels(level: str, rows: Rows) -> Iterator[LabelChange]:
    truth = np.array(rows.truth)
    before, after = (np.array(a.codes) == truth for a in (rows.champion, rows.candidate))
    for label in sorted(set(rows.truth)):
        here = truth == label
        yield LabelChange(
            level=level,
            label=label,
            rows=int(here.sum()),
            champion=int(before[here].sum()),
            candidate=int(after[here].sum()),
            lost=int((before & ~after)[here].sum()),
        )


def _each_label(labels: Sequence[LabelChange]) -> Check:
    judged = [label for label in labels if label.rows >= LABEL_ROWS]
    at = Counter(label.level for label in judged)
    lost = [
        label
        for label in judged
        if label.points < -LABEL_POINTS
        and (label.level == labels[0].level or label.p < LABEL_CHANCE / at[label.level])
    ]
    if lost:
        told = ", ".join(f"{c.label} {c.points:+.1f} points on {c.rows} rows" for c in lost)
        sentence = f"a label loses more than {LABEL_POINTS:g} points: {told}"
    else:
        worst = min(judged, key=lambda label: label.points, default=None)
        told = "" if worst is None else f"; the worst is {worst.label} with {worst.points:+.1f}"
        sentence = f"none of {len(judged)} labels loses more than {LABEL_POINTS:g} points{told}"
    return Check(name="labels", passed=not lost, sentence=sentence)


def _calibration(held_out: Mapping[str, Rows]) -> Check:
    told, fine = [], True
    for level, rows in held_out.items():
        truth = np.array(rows.truth)
        before, after = (
            expected_calibration_error(a.confidences, np.array(a.codes) == truth)
            for a in (rows.champion, rows.candidate)
        )
        fine &= bool(after <= max(CALIBRATION_FINE, before + CALIBRATION_GROWTH))
        told.append(f"{level} {after:.3f}, the champion's {before:.3f}")
    sentence = f"calibration {'holds' if fine else 'is lost'}: expected error {'; '.join(told)}"
    return Check(name="calibration", passed=fine, sentence=sentence)


def _better_on_feedback(feedback: Comparison | None) -> Check:
    rows = 0 if feedback is None else feedback.rows
    if feedback is None or rows < VERDICTS:
        sentence = f"too few verdicts to judge by: {rows} of {VERDICTS} texts kept back"
        return Check(name="feedback", passed=False, sentence=sentence)
    gained, lost = feedback.only_b, feedback.only_a
    p = binomtest(gained, gained + lost, alternative="greater").pvalue if gained + lost else 1.0
    sentence = (
        f"{'better' if p < SIGNIFICANCE else 'not better'} on people's verdicts: "
        f"{feedback.accuracy.a:.1%} to {feedback.accuracy.b:.1%} of {rows} texts kept back; "
        f"{gained} gained, {lost} lost (p = {p:.2g})"
    )
    return Check(name="feedback", passed=bool(p < SIGNIFICANCE), sentence=sentence)


def _trustworthy(verdicts: Rows, held_out: Rows) -> Check:
    """Whether people agree with the candidate as often as its answers are right elsewhere.

    How often answers as sure as these are right, the held-out rows say. Far fewer agree if many
    verdicts are wrong, or if the candidate is wrong on live texts far more often; neither should
    go live. Verdicts that chance chose are used where there are enough: people rather judge
    mistakes.
    """
    sampled = np.array(verdicts.sampled, dtype=bool)
    by_chance = int(sampled.sum()) >= VERDICTS
    chosen = sampled if by_chance else np.ones(len(verdicts.truth), dtype=bool)
    rows = int(chosen.sum())
    if rows < VERDICTS:
        sentence = f"too few verdicts to trust them: {rows} of {VERDICTS} texts kept back"
        return Check(name="verdicts", passed=False, sentence=sentence)
    expected = _as_right_as(held_out, verdicts.candidate.confidences[chosen])
    agree = (np.array(verdicts.candidate.codes) == np.array(verdicts.truth))[chosen].mean()
    # Both shares are known from so many rows only.
    spread = (expected * (1 - expected)).mean() * (1 / rows + 1 / len(held_out.truth))
    chance = TRUST * float(np.sqrt(spread))
    fine = bool(agree >= expected.mean() - max(TRUST_SHARE, chance))
    how = "drawn by chance" if by_chance else "kept back"
    sentence = (
        f"people's verdicts {'can' if fine else 'cannot'} be trusted: they agree with {agree:.1%} "
        f"of the candidate's answers to {rows} texts {how}, "
        f"where {expected.mean():.1%} should be right"
        f"{'' if fine else '; too many are wrong: have them reviewed'}"
    )
    return Check(name="verdicts", passed=fine, sentence=sentence)


def _as_right_as(held_out: Rows, confidences: FloatArray) -> npt.NDArray[np.float64]:
    """For each confidence, how often the candidate's answers to held-out rows as sure are right."""
    answered = held_out.candidate
    hits = np.array(answered.codes) == np.array(held_out.truth)
    edges = np.unique(np.quantile(answered.confidences, np.linspace(0, 1, BINS + 1)[1:-1]))
    there = np.searchsorted(edges, answered.confidences)
    counts = np.bincount(there, minlength=len(edges) + 1)
    right = np.bincount(there, hits, minlength=len(edges) + 1)
    shares = np.where(counts > 0, right / np.maximum(1, counts), hits.mean())
    return np.asarray(shares[np.searchsorted(edges, confidences)], dtype=np.float64)


def html_decision(decision: Decision, lineage: Lineage | None) -> str:
    """The page of a decision.

    :param lineage: what the candidate has learnt from, if it was retrained.
    """
    return template("learning", "decision.html.j2").render(
        decision=decision,
        lineage=lineage,
        titles=titles(),
        label_rows=LABEL_ROWS,
    )
