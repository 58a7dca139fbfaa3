"""How figures went over time, as SVG. Knows numbers and moments."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure

from patclass.core.html import template
from patclass.evaluation.html import BLUE, GREY, ORANGE, data_uri
from patclass.monitoring.drift import FALSE_ALERTS, Assessment
from patclass.monitoring.monitor import MonitoredModel

# By custom, see ``population_stability``.
STABLE, SHIFTED = 0.1, 0.25


def accuracy_curve(windows: Sequence[Assessment], level: str, usual: float | None) -> str:
    """Estimated and measured accuracy of a level over time, beside that of the reference."""
    figure, axes = _figure()
    there = [(_day(w.end), w.accuracy[level]) for w in windows if level in w.accuracy]
    times = [end for end, _ in there]
    axes.plot(times, [100 * a.estimated for _, a in there], color=BLUE, marker="o", markersize=3)
    lows, highs = (
        [100 * getattr(a, name) for _, a in there] for name in ("estimated_low", "estimated_high")
    )
    axes.fill_between(times, lows, highs, color=BLUE, alpha=0.15)
    for end, accuracy in there:
        if accuracy.measured is not None and accuracy.low is not None:
            ends = [100 * accuracy.low, 100 * (accuracy.high or 0)]
            axes.plot([end, end], ends, color=ORANGE, linewidth=1)
            axes.plot([end], [100 * accuracy.measured], color=ORANGE, marker="s", markersize=4)
    if usual is not None:
        axes.axhline(100 * usual, color=GREY, linestyle=":")
    axes.set(ylabel="right answers (%)", ylim=(0, 100))
    return data_uri(figure)


def stability_curve(windows: Sequence[Assessment], signal: str) -> str:
    """A signal's stability index over time; windows that ring are marked."""
    figure, axes = _figure()
    shifts = [(_day(w.end), next(s for s in w.shifts if s.signal == signal)) for w in windows]
    axes.plot([end for end, _ in shifts], [s.psi for _, s in shifts], color=BLUE)
    for end, shift in shifts:
        colour, mark = (ORANGE, "X") if shift.alert else (BLUE, "o")
        axes.plot([end], [shift.psi], color=colour, marker=mark, markersize=6 if shift.alert else 3)
    for height in (STABLE, SHIFTED):
        axes.axhline(height, color=GREY, linestyle=":", linewidth=1)
    axes.set(ylabel="PSI", ylim=(0, max(0.3, 1.1 * max(s.psi for _, s in shifts))))
    return data_uri(figure)


def label_curve(windows: Sequence[Assessment], label: str) -> str:
    """A label's share of the answers over time, beside that of the reference."""
    figure, axes = _figure()
    shares = [(_day(w.end), next(s for s in w.labels if s.label == label)) for w in windows]
    times, values = [end for end, _ in shares], [100 * s.window for _, s in shares]
    axes.plot(times, values, color=BLUE, marker="o", markersize=3)
    axes.axhline(100 * shares[-1][1].reference, color=GREY, linestyle=":")
    axes.set(ylabel="answers (%)", ylim=(0, None))
    return data_uri(figure)


def all_curves(
    windows: Sequence[Assessment], usual: Mapping[str, float]
) -> dict[str, dict[str, str]]:
    """Every picture of a report, by group and name."""
    last = windows[-1]
    labels = sorted(last.labels, key=lambda s: -abs(s.window - s.reference))[:8]
    return {
        "accuracy": {
            level: accuracy_curve(windows, level, usual.get(level)) for level in last.accuracy
        },
        "signals": {s.signal: stability_curve(windows, s.signal) for s in last.shifts},
        "labels": {s.label: label_curve(windows, s.label) for s in labels},
    }


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.6, 2.3), layout="constrained", facecolor="white")
    axes = figure.subplots()
    locator = AutoDateLocator(minticks=2, maxticks=5)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    formatter = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(formatter)
    return figure, axes


def _day(moment: datetime) -> float:
    """A moment as matplotlib counts, in days."""
    return float(date2num(moment))  # type: ignore[no-untyped-call]


def span(windows: Sequence[Assessment]) -> tuple[datetime, datetime]:
    """From when to when the windows go."""
    return windows[0].begin, windows[-1].end


_MEANING = {
    "confidence": "how sure the answers are",
    "labels": "which labels are answered",
    "length": "how long the texts are",
    "oov_rate": "share of tokens that the model has not learnt from",
    "novelty": "how far the texts' states are from usual ones",
}


def html_monitor(watched: MonitoredModel, windows: Sequence[Assessment]) -> str:
    """The page of a model's last windows, oldest first; at least one."""
    last = windows[-1]
    begin, end = span(windows)
    return template("monitoring", "report.html.j2").render(
        watched=watched,
        windows=windows,
        last=last,
        begin=begin,
        end=end,
        meaning=_MEANING,
        false_alarms=FALSE_ALERTS,
        usual=watched.reference.accuracy,
        curves=all_curves(windows, watched.reference.accuracy),
        moved=sorted(last.labels, key=lambda s: -abs(s.window - s.reference)),
    )
