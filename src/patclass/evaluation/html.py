"""The evaluation report as one HTML page with its figures as SVG. Knows the report, no row.

Each picture is a data URI, for an ``<img>`` element: nothing in it can run or clash with the
page. The same figures make the same bytes. Colours are those of Okabe and Ito (2008), which
colour-blind people can tell apart; marks and dashes differ as well.
"""

import io
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from patclass.core.html import template
from patclass.cpc.scheme import titles
from patclass.cpc.symbols import LEVELS
from patclass.evaluation.calibration import OperatingPoint, ReliabilityBin, RiskCoverage
from patclass.evaluation.intervals import Interval
from patclass.evaluation.metrics import ClassMetrics, ConfusedPair, Metrics, confused_pairs
from patclass.evaluation.report import BASELINE_NAMES, MAX_LABELS, LevelReport, Report
from patclass.evaluation.slices import Slice

matplotlib.rcParams["axes.titlesize"] = 11

MAX_NUMBERED = 20


def confusion_picture(metrics: Metrics, title: str, path: Path) -> None:
    """Write a PNG: rows are true labels, columns answers, shades the share of the row."""
    codes = [c.code for c in metrics.per_class]
    counts = np.asarray(metrics.confusion)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    side = min(14.0, 3.2 + 0.45 * len(codes))
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true label", shrink=0.8)
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_title(title, parse_math=False)
    ticks = range(0, len(codes), max(1, len(codes) // 40))
    names = [codes[i][:14] for i in ticks]
    # Labels are data: a dollar sign in one must not be read as the start of a formula.
    axes.set_xticks(ticks, names, parse_math=False, rotation=90 if len(codes) > 12 else 0)
    axes.set_yticks(ticks, names, parse_math=False)
    if len(codes) <= MAX_NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            shade = "white" if shares[row, column] > 0.55 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=shade, fontsize=8)
    figure.savefig(path, dpi=130, metadata={"Software": None})


BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"


def reliability_curve(raw: Sequence[ReliabilityBin], calibrated: Sequence[ReliabilityBin]) -> str:
    """Accuracy over confidence, and below it how many answers each confidence has."""
    figure = Figure(figsize=(4.2, 4.6), layout="constrained", facecolor="white")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    upper.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1, label="ideal")
    for bins, colour, style, marker, name in (
        (raw, ORANGE, "--", "s", "before calibration"),
        (calibrated, BLUE, "-", "o", "after calibration"),
    ):
        x, y = [b.confidence for b in bins], [b.accuracy for b in bins]
        (line,) = upper.plot(x, y, color=colour, linestyle=style, marker=marker, label=name)
        line.set(markersize=4, clip_on=False)  # marks on the frame are shown whole
    upper.set(ylabel="share of right answers", xlim=(0, 1), ylim=(0, 1))
    figure.legend(
        loc="outside upper center", ncols=3, frameon=False, fontsize=8.5, columnspacing=1.2
    )
    widths = [b.high - b.low for b in calibrated]
    lefts, heights = [b.low for b in calibrated], [b.rows for b in calibrated]
    lower.bar(lefts, heights, widths, align="edge", color=BLUE, edgecolor="white")
    lower.set(xlabel="confidence", ylabel="answers\n(after)")
    return data_uri(figure)


def coverage_curve(curve: RiskCoverage) -> str:
    """Share of wrong answers over the share of rows answered, the surest first."""
    figure = Figure(figsize=(4.2, 3.4), layout="constrained", facecolor="white")
    axes = figure.subplots()
    x, y = [100 * p.coverage for p in curve.points], [100 * p.risk for p in curve.points]
    axes.plot(x, y, color=BLUE, linewidth=1.8, marker="o" if len(x) < 20 else None)
    axes.fill_between(x, y, color=BLUE, alpha=0.12)
    axes.set(xlabel="rows answered, the surest first (%)", ylabel="wrong answers (%)")
    axes.set(xlim=(0, 100), ylim=(0, max(5.0, 1.1 * max(y))))
    return data_uri(figure)


def data_uri(figure: Figure) -> str:
    """A figure as SVG for an ``<img>``; the same figure makes the same bytes."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
    stream = io.BytesIO()
    # Without the salt, names inside the file are random; without the date it tells the time.
    with matplotlib.rc_context({"svg.hashsalt": "patclass"}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + b64encode(stream.getvalue()).decode("ascii")


# All labels are shown up to this number; of more, the weakest and the best ones.
MAX_CLASSES = 40
EXTREMES = 20

# Precision and recall on fewer rows say nothing of a label.
MIN_ROWS = 10


@dataclass(frozen=True)
class LevelView:
    """One level as the page shows it."""

    name: str
    report: LevelReport

    @property
    def metrics(self) -> Metrics:
        """Figures of the model."""
        return self.report.metrics

    @cached_property
    def groups(self) -> dict[str, list[ClassMetrics]]:
        """Labels to show, under the name of their group."""
        return class_groups(self.metrics.per_class)

    @cached_property
    def titles(self) -> dict[str, str]:
        """Official titles of the labels by code; empty if they are no CPC codes."""
        return official_titles(self.name, [c.code for c in self.metrics.per_class])

    @property
    def long_codes(self) -> bool:
        """Whether codes, side by side, would make the matrix too wide."""
        return any(len(c.code) > len("A01B") for c in self.metrics.per_class)

    @property
    def matrix(self) -> bool:
        """Whether the confusion matrix is small enough to be shown."""
        return len(self.metrics.per_class) <= MAX_LABELS

    @cached_property
    def confused(self) -> list[ConfusedPair]:
        """The most frequent mistakes."""
        return confused_pairs(self.metrics.confusion, [c.code for c in self.metrics.per_class])

    @cached_property
    def reliability_svg(self) -> str:
        """The reliability diagram as a data URI."""
        return reliability_curve(self.report.reliability_raw, self.report.reliability)

    @cached_property
    def coverage_svg(self) -> str:
        """The risk–coverage curve as a data URI."""
        return coverage_curve(self.report.risk_coverage)

    @property
    def slices(self) -> dict[str, list[Slice]]:
        """Slices by kind."""
        kinds = groupby(self.report.slices, lambda part: part.kind)
        return {kind: list(parts) for kind, parts in kinds}

    @property
    def at_90(self) -> OperatingPoint | None:
        """The operating point with 90 % precision."""
        return next((p for p in self.report.operating_points if p.target == 0.9), None)

    @property
    def baselines(self) -> dict[str, Metrics]:
        """Baselines by their display names."""
        known = self.report.baselines
        return {name: known[key] for key, name in BASELINE_NAMES.items() if key in known}


def html_report(report: Report, title: str, facts: Mapping[str, str]) -> str:
    """The report as a self-contained HTML page, the same bytes for the same figures.

    :param title: heading of the page.
    :param facts: what else to say of the model and its data, by name.
    """
    levels = [LevelView(name, level) for name, level in report.levels.items()]
    tag_titles = official_titles("tag", list(report.tags))
    page = template("evaluation", "report.html.j2", {"interval": _interval, "figure": _figure})
    return page.render(
        report=report, title=title, facts=facts, levels=levels, tag_titles=tag_titles
    )


def official_titles(level: str, codes: Sequence[str]) -> dict[str, str]:
    """CPC titles by code, of a CPC level or of codes that are all of CPC.

    Among other labels, one that looks like a code must not get a title that it does not have.
    """
    found = {code: titles()[code] for code in codes if code in titles()}
    return found if level in LEVELS or len(found) == len(codes) else {}


def class_groups(classes: Sequence[ClassMetrics]) -> dict[str, list[ClassMetrics]]:
    """All labels with rows if they are few; else the weakest and best ones with enough rows."""
    there = [c for c in classes if c.support]
    if len(classes) <= MAX_CLASSES:
        return {"": there}
    ranked = sorted((c for c in there if c.support >= MIN_ROWS), key=lambda c: c.f1)
    if len(ranked) <= 2 * EXTREMES:
        return {f"All labels with at least {MIN_ROWS} rows, the weakest first": ranked}
    return {
        f"The {EXTREMES} weakest labels with at least {MIN_ROWS} rows": ranked[:EXTREMES],
        f"The {EXTREMES} best": ranked[: -EXTREMES - 1 : -1],
    }


def _interval(interval: Interval | None) -> str:
    return "–" if interval is None else f"{100 * interval.low:.1f}–{interval.high:.1%}"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
