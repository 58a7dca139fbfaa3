"""Reliability diagrams and risk–coverage curves as SVG. Knows numbers only, nothing of a row.

Each picture is a data URI, for an ``<img>`` element: nothing in it can run or clash with the
page. The same figures make the same bytes. Colours are those of Okabe and Ito (2008), which
colour-blind people can tell apart; marks and dashes differ as well.
"""

import io
from base64 import b64encode
from collections.abc import Sequence

import matplotlib
from matplotlib.figure import Figure

from patclass.evaluation.calibration import ReliabilityBin
from patclass.evaluation.selective import RiskCoverage

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
