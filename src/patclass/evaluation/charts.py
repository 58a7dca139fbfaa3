"""Charts of an evaluation, for the report, the model card and the page. Knows figures, no row.

They are Vega-Lite. The page draws them in the browser; report and card hold them as pictures, in
which nothing can run, and of which the same figures make the same bytes. Colours are those of
Okabe and Ito (2008), which colour-blind people can tell apart; marks and dashes differ as well.
"""

import io
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt

Chart = alt.LayerChart | alt.FacetChart

BLUE, ORANGE, GREY = "#0072B2", "#E69F00", "#808080"
DASHED = [5, 4]
# An expression of Vega for the labels of an axis from 0 to 1.
PERCENT = "round(100 * datum.value) + ' %'"

_AFTER, _BEFORE = "after calibration", "before calibration"
_MAX_LABELS = 20  # rows and columns of a legible matrix
_MAX_MARKED = 20  # points of a line that are marked
_MAX_CHARS = 14  # of a label at an axis


def calibration_curve(
    bins: Sequence[Mapping[str, float]], before: Sequence[Mapping[str, float]] = ()
) -> Chart:
    """Accuracy against confidence; the dashed diagonal is perfect calibration.

    :param bins: with ``confidence``, ``accuracy`` and ``rows``.
    :param before: the same before calibration.
    """
    points = [bin | {"series": _AFTER} for bin in map(dict, bins)]
    points += [bin | {"series": _BEFORE} for bin in map(dict, before)]
    x = alt.X("confidence:Q", scale=_scale(1), axis=_share_axis("Confidence"))
    y = alt.Y("accuracy:Q", scale=_scale(1), axis=_share_axis("Accuracy"))
    diagonal = [{"confidence": 0, "accuracy": 0}, {"confidence": 1, "accuracy": 1}]
    line = alt.Chart({"values": diagonal}).mark_line(strokeDash=DASHED, color=GREY)
    series = [_AFTER, _BEFORE] if before else [_AFTER]
    legend = alt.Legend(title=None) if before else None
    marks = (
        alt.Chart({"values": points})
        .mark_point(filled=True, opacity=0.85)
        .encode(
            x=x,
            y=y,
            size=alt.Size("rows:Q", title="Patents", scale=alt.Scale(range=[30, 400])),
            color=alt.Color(
                "series:N",
                scale=alt.Scale(domain=series, range=[BLUE, ORANGE][: len(series)]),
                legend=legend,
            ),
            shape=alt.Shape(
                "series:N",
                scale=alt.Scale(domain=series, range=["circle", "square"][: len(series)]),
                legend=legend,
            ),
            tooltip=[
                alt.Tooltip("confidence:Q", title="Confidence", format=".1%"),
                alt.Tooltip("accuracy:Q", title="Accuracy", format=".1%"),
                alt.Tooltip("rows:Q", title="Patents"),
            ],
        )
    )
    return alt.layer(line.encode(x=x, y=y), marks, height=320)


def coverage_curve(points: Sequence[Mapping[str, float]]) -> Chart:
    """Share of wrong predictions against the share of predictions, the surest first.

    :param points: with ``coverage`` and ``risk``.
    """
    top = max([0.05, *(1.1 * point["risk"] for point in points)])
    base = alt.Chart({"values": list(points)}).encode(
        x=alt.X("coverage:Q", scale=_scale(1), axis=_share_axis("Coverage, the surest first")),
        y=alt.Y("risk:Q", scale=_scale(min(top, 1)), axis=_share_axis("Wrong predictions")),
    )
    area = base.mark_area(color=BLUE, opacity=0.12)
    line = base.mark_line(color=BLUE, point=len(points) < _MAX_MARKED)
    return alt.layer(area, line, height=320)


def confusion_matrix(cells: Sequence[tuple[str, str, int]], what: str = "code") -> Chart:
    """True against predicted labels, coloured by the share of the true label (row).

    :param what: what a label is called.
    :param cells: true label, predicted label, number of patents; the most frequent are shown.
    """
    support: Counter[str] = Counter()
    for true, _, patents in cells:
        support[true] += patents
    shown = sorted(label for label, _ in support.most_common(_MAX_LABELS))
    rows = [
        {"true": true, "predicted": label, "patents": n, "share": n / support[true]}
        for true, label, n in cells
        if true in shown and label in shown
    ]
    base = alt.Chart({"values": rows}).encode(
        x=alt.X(
            "predicted:N",
            sort=shown,
            scale=alt.Scale(domain=shown),
            axis=_label_axis(f"Predicted {what}", max(map(len, shown), default=0) > len("A01B")),
        ),
        y=alt.Y(
            "true:N",
            sort=shown,
            scale=alt.Scale(domain=shown),
            axis=_label_axis(f"True {what}", False),
        ),
        tooltip=[
            alt.Tooltip("true:N", title=f"True {what}"),
            alt.Tooltip("predicted:N", title=f"Predicted {what}"),
            alt.Tooltip("patents:Q", title="Patents"),
            alt.Tooltip("share:Q", title=f"Share of the true {what}", format=".1%"),
        ],
    )
    scale = alt.Scale(domain=[0, 1], scheme="blues")
    squares = base.mark_rect().encode(color=alt.Color("share:Q", scale=scale, legend=None))
    contrast = (
        alt.when("datum.share > 0.5").then(alt.value("white")).otherwise(alt.value("#202020"))
    )
    counts = base.mark_text(fontSize=10).encode(text="patents:Q", color=contrast)
    return alt.layer(squares, counts, height=alt.Step(24))


def confusion_cells(
    codes: Sequence[str], confusion: Mapping[str, Any] | Sequence[Sequence[int]]
) -> list[tuple[str, str, int]]:
    """Non-zero cells of a confusion matrix: true code, predicted code, count.

    :param confusion: dense, of shape (codes, codes), or as a report stores a large one: with
        ``cells``.
    """
    if isinstance(confusion, Mapping):
        return [(codes[row], codes[column], count) for row, column, count in confusion["cells"]]
    return [
        (codes[row], codes[column], count)
        for row, counts in enumerate(confusion)
        for column, count in enumerate(counts)
        if count
    ]


def data_uri(chart: Chart) -> str:
    """A chart as SVG, for the ``src`` of an image."""
    stream = io.StringIO()
    chart.properties(width=320).save(stream, format="svg")
    return "data:image/svg+xml;base64," + b64encode(stream.getvalue().encode()).decode("ascii")


def write_png(chart: Chart, title: str, path: Path) -> None:
    """A chart with a title as PNG, with two pixels in each direction for one of a screen.

    :raises OSError: if the file cannot be written.
    """
    chart.properties(width=alt.Step(34), title=title).save(path, format="png", scale_factor=2)


def write_trials(
    trials: Sequence[Mapping[str, Any]], importance: Mapping[str, float], score: str, path: Path
) -> None:
    """The score of every trial against each of its settings, the most important first, as PNG.

    :param trials: with ``score`` and the settings.
    :param importance: share of the differences that a setting explains; empty if that is unknown.
    :raises OSError: if the file cannot be written.
    """
    names = sorted(
        (name for name in trials[0] if name != "score"),
        key=lambda name: -importance.get(name, 0),
    )
    panels = []
    for name in names:
        real = isinstance(trials[0][name], float)
        share = f" ({importance[name]:.0%})" if name in importance else ""
        x = (
            alt.X(f"{name}:Q", scale=alt.Scale(type="log", nice=False), axis=alt.Axis(tickCount=4))
            if real
            else alt.X(f"{name}:O", axis=alt.Axis(labelAngle=0))
        )
        y = alt.Y("score:Q", scale=alt.Scale(zero=False), title=score.replace("_", " "))
        marks = alt.Chart({"values": [dict(each) for each in trials]}).mark_point(color=BLUE)
        panels.append(
            marks.encode(x=x, y=y).properties(width=170, height=170, title=f"{name}{share}")
        )
    alt.hconcat(*panels).save(path, format="png", scale_factor=2)


def _scale(top: float) -> alt.Scale:
    return alt.Scale(domain=[0, top], nice=False)


def _share_axis(title: str) -> alt.Axis:
    return alt.Axis(labelExpr=PERCENT, title=title, tickCount=5)


def _label_axis(title: str, upright: bool) -> alt.Axis:
    label = f"truncate(datum.label, {_MAX_CHARS})"
    angle = -90 if upright else 0
    return alt.Axis(title=title, labelAngle=angle, labelOverlap=False, labelExpr=label)
