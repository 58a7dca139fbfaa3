"""The charts of the page. Knows figures, no service."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from patclass.evaluation.charts import BLUE, DASHED, GREY, ORANGE, PERCENT, Chart
from patclass.ui.formatting import percent

Window = Mapping[str, Any]

MAX_BARS = 10
# Name of the selection that a click on a bar makes.
SELECTED_CODE = "selected_code"
# Population stability index: customary limits of a stable and of a shifted distribution.
STABLE, SHIFTED = 0.1, 0.25

_MAX_COUNTED = 20
_MAX_LABEL = 34  # characters
_MAX_SHARE = 1.18  # leaves space for the figure to the right of a full bar

_CODE_AXIS = alt.Axis(
    title=None, labelLimit=190, labelFontSize=13, labelOverlap=False, ticks=False, domain=False
)
# In UTC, whatever the time zone of the visitor.
_TIME = alt.X(
    "end:T",
    scale=alt.Scale(type="utc"),
    axis=alt.Axis(
        title=None,
        tickCount=5,
        labelExpr="utcFormat(datum.value, utchours(datum.value) + utcminutes(datum.value) == 0"
        " ? '%d %b' : '%H:%M')",
    ),
)
_TIME_TOOLTIP = alt.Tooltip("end:T", title="Until (UTC)", format="%Y-%m-%d %H:%M")


def alternatives(labels: Sequence[Mapping[str, Any]], predicted: str) -> Chart:
    """Bars of codes with their confidence; a click on one selects it as ``SELECTED_CODE``.

    :param labels: with ``label``, ``name`` and ``confidence``, as in the API.
    :param predicted: the code whose bar stands out.
    """
    table = pd.DataFrame(
        {
            "code": [entry["label"] for entry in labels],
            "label": [_shortened(entry["label"], entry["name"]) for entry in labels],
            "title": [entry["name"] for entry in labels],
            "confidence": [entry["confidence"] for entry in labels],
            "percent": [percent(entry["confidence"]) for entry in labels],
            "kind": ["predicted" if e["label"] == predicted else "other" for e in labels],
        }
    )
    axis = alt.Axis(labelExpr=PERCENT, title="Confidence", values=[0, 0.25, 0.5, 0.75, 1])
    base = alt.Chart(table).encode(
        y=alt.Y("label:N", sort=None, axis=_CODE_AXIS),
        x=alt.X("confidence:Q", scale=alt.Scale(domain=[0, _MAX_SHARE]), axis=axis),
        tooltip=[
            alt.Tooltip("code", title="Code"),
            alt.Tooltip("title", title="Title"),
            alt.Tooltip("percent", title="Confidence"),
        ],
    )
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=["predicted", "other"], range=[BLUE, "#8CA0B3"]),
        legend=None,
    )
    click = alt.selection_point(name=SELECTED_CODE, fields=["code"], on="click", empty=False)
    bars = base.mark_bar(cornerRadiusEnd=3, cursor="pointer").encode(color=colour)
    figures = base.mark_text(align="left", dx=4, fontSize=12).encode(
        text="percent", color=alt.value(GREY)
    )
    return alt.layer(bars.add_params(click), figures, height=alt.Step(30))


def code_counts(codes: Sequence[str], titles: Mapping[str, str]) -> Chart:
    """The number of patents per code, the most frequent first.

    :param titles: titles by code.
    """
    counts = pd.Series(list(codes)).value_counts().head(_MAX_COUNTED)
    table = pd.DataFrame(
        {
            "label": [_shortened(str(code), titles.get(str(code), "")) for code in counts.index],
            "patents": counts.to_numpy(),
        }
    )
    base = alt.Chart(table).encode(
        y=alt.Y("label:N", sort=None, axis=_CODE_AXIS),
        x=alt.X("patents:Q", axis=alt.Axis(title="Patents", tickMinStep=1)),
        tooltip=[alt.Tooltip("label", title="Code"), alt.Tooltip("patents", title="Patents")],
    )
    bars = base.mark_bar(color=BLUE, cornerRadiusEnd=3)
    figures = base.mark_text(align="left", dx=4, fontSize=12, color=GREY).encode(text="patents")
    return alt.layer(bars, figures, height=alt.Step(28))


def accuracy(windows: Sequence[Window], level: str, reference: float | None) -> Chart:
    """Accuracy of a level over time: estimated as a line, measured as squares.

    :param reference: accuracy on the reference data, dashed.
    """
    rows = [
        {"end": window["end"], **entry}
        for window in windows
        if (entry := window["accuracy"].get(level)) is not None
    ]
    table = _time_series(rows)
    table["percent"] = table["estimated"].map(percent)
    scale = alt.Scale(domain=[0, 1])
    axis = alt.Axis(labelExpr=PERCENT, title="Accuracy", tickCount=5)
    base = alt.Chart(table).encode(x=_TIME)
    band = base.mark_area(color=BLUE, opacity=0.15).encode(
        y=alt.Y("estimated_low:Q", scale=scale, axis=axis), y2="estimated_high:Q"
    )
    line = base.mark_line(color=BLUE, point=True).encode(
        y=alt.Y("estimated:Q", scale=scale, axis=axis),
        tooltip=[_TIME_TOOLTIP, alt.Tooltip("percent:N", title="Estimated accuracy")],
    )
    measured = _measured(rows, scale, axis)
    return alt.layer(band, line, *measured, *_rules([reference], axis), height=220)


def _measured(
    rows: Sequence[Mapping[str, Any]], scale: alt.Scale, axis: alt.Axis
) -> list[alt.Chart]:
    """Accuracy by feedback with its interval; nothing where there is no feedback."""
    judged = [row for row in rows if row["reviewed"]]
    if not judged:
        return []
    table = _time_series(judged)
    table["measured"] = table["correct"] / table["reviewed"]
    table["counts"] = [f"{row['correct']:,} of {row['reviewed']:,}" for row in judged]
    base = alt.Chart(table).encode(x=_TIME)
    intervals = base.mark_rule(color=ORANGE).encode(
        y=alt.Y("low:Q", scale=scale, axis=axis), y2="high:Q"
    )
    squares = base.mark_point(shape="square", size=50, filled=True, color=ORANGE, opacity=1).encode(
        y=alt.Y("measured:Q", scale=scale, axis=axis),
        tooltip=[_TIME_TOOLTIP, alt.Tooltip("counts:N", title="Correct by feedback")],
    )
    return [intervals, squares]


def stability_index(windows: Sequence[Window], signal: str) -> Chart:
    """The population stability index of a signal over time; crosses are alerts."""
    rows = [
        {"end": window["end"], "psi": shift["psi"], "kind": "alert" if shift["alert"] else "normal"}
        for window in windows
        for shift in window["shifts"]
        if shift["signal"] == signal
    ]
    axis = alt.Axis(title="PSI", tickCount=4)
    top = max([0.3, *(1.1 * row["psi"] for row in rows)])
    base = alt.Chart(_time_series(rows)).encode(
        x=_TIME, y=alt.Y("psi:Q", scale=alt.Scale(domain=[0, top]), axis=axis)
    )
    kinds = ["normal", "alert"]
    marks = base.mark_point(size=70, filled=True, opacity=1).encode(
        shape=alt.Shape(
            "kind:N", scale=alt.Scale(domain=kinds, range=["circle", "cross"]), legend=None
        ),
        color=alt.Color("kind:N", scale=alt.Scale(domain=kinds, range=[BLUE, ORANGE]), legend=None),
        tooltip=[
            _TIME_TOOLTIP,
            alt.Tooltip("psi:Q", title="PSI", format=".3f"),
            alt.Tooltip("kind:N", title="State"),
        ],
    )
    line = base.mark_line(color=BLUE)
    return alt.layer(line, marks, *_rules([STABLE, SHIFTED], axis), height=130)


def label_shares(windows: Sequence[Window], labels: Sequence[str]) -> Chart:
    """The share of predictions per code over time; dashed is the share in the reference data."""
    rows = [
        {
            "end": window["end"],
            "label": share["label"],
            "reference": share["reference"],
            "share": share["window"],
            "percent": percent(share["window"]),
        }
        for window in windows
        for share in window["labels"]
        if share["label"] in labels
    ]
    table = _time_series(rows)
    axis = alt.Axis(labelExpr=PERCENT, title="Predictions", tickCount=5)
    base = alt.Chart(table).encode(
        x=_TIME,
        color=alt.Color("label:N", scale=alt.Scale(scheme="tableau10"), legend=None),
    )
    lines = base.mark_line(point=True).encode(
        y=alt.Y("share:Q", axis=axis),
        tooltip=[
            _TIME_TOOLTIP,
            alt.Tooltip("label:N", title="Code"),
            alt.Tooltip("percent:N", title="Share"),
        ],
    )
    reference = base.mark_line(strokeDash=DASHED, strokeWidth=1).encode(
        y=alt.Y("reference:Q", axis=axis)
    )
    latest = alt.Chart(table[table["end"] == table["end"].max()])
    names = latest.mark_text(align="left", dx=8, fontSize=13, color=GREY).encode(
        x=_TIME, y=alt.Y("share:Q", axis=axis), text="label:N"
    )
    return alt.layer(reference, lines, names, height=240)


def _rules(heights: Sequence[float | None], axis: alt.Axis) -> list[alt.Chart]:
    table = pd.DataFrame({"height": [height for height in heights if height is not None]})
    if table.empty:
        return []
    rule = alt.Chart(table).mark_rule(color=GREY, strokeDash=DASHED)
    return [rule.encode(y=alt.Y("height:Q", axis=axis))]


def _time_series(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(list(rows))
    table["end"] = pd.to_datetime(table["end"], utc=True, format="ISO8601")
    return table


def _shortened(code: str, title: str) -> str:
    text = f"{code} {title}"
    return text if len(text) <= _MAX_LABEL else text[: _MAX_LABEL - 1].rstrip() + "…"
