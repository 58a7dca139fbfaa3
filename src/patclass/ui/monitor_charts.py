"""How figures of live answers went over time, as pictures. Knows figures, no service.

What has a colour also has a shape or a name of its own, so that nothing is told by colour alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from patclass.ui.charts import BLUE, ORANGE
from patclass.ui.words import percent

GREY = "#808080"
# Below the first an index is called stable by custom, above the second a shift.
STABLE, SHIFTED = 0.1, 0.25

# In UTC, whatever the visitor's own zone: so the text says it, too.
_WHEN = alt.X("end:T", scale=alt.Scale(type="utc"), axis=alt.Axis(title=None, tickCount=5))
_MOMENT = alt.Tooltip("end:T", title="Until (UTC)", format="%Y-%m-%d %H:%M")

Window = Mapping[str, Any]
Chart = alt.LayerChart | alt.FacetChart


def accuracy(windows: Sequence[Window], level: str, usual: float | None) -> Chart:
    """The share of right answers at a level: estimated as a line, measured as squares.

    :param usual: that of the reference, dashed.
    """
    rows = [
        {"end": window["end"], **found}
        for window in windows
        if (found := window["accuracy"].get(level)) is not None
    ]
    table = _table(rows)
    table["said"] = [percent(row["estimated"]) for row in rows]
    scale = alt.Scale(domain=[0, 1])
    axis = alt.Axis(format="%", title="Right answers", tickCount=5)
    base = alt.Chart(table).encode(x=_WHEN)
    band = base.mark_area(color=BLUE, opacity=0.15).encode(
        y=alt.Y("estimated_low:Q", scale=scale, axis=axis), y2="estimated_high:Q"
    )
    line = base.mark_line(color=BLUE, point=True).encode(
        y=alt.Y("estimated:Q", scale=scale, axis=axis),
        tooltip=[_MOMENT, alt.Tooltip("said:N", title="Estimated right")],
    )
    said = _measured(rows, scale, axis)
    return alt.layer(band, line, *said, *_rules([usual], axis), height=220)


def _measured(
    rows: Sequence[Mapping[str, Any]], scale: alt.Scale, axis: alt.Axis
) -> list[alt.Chart]:
    judged = [row for row in rows if row["judged"]]
    if not judged:
        return []
    table = _table(judged)
    table["measured"] = table["right"] / table["judged"]
    table["said"] = [f"{row['right']:,} of {row['judged']:,}" for row in judged]
    base = alt.Chart(table).encode(x=_WHEN)
    whiskers = base.mark_rule(color=ORANGE).encode(
        y=alt.Y("low:Q", scale=scale, axis=axis), y2="high:Q"
    )
    squares = base.mark_point(shape="square", size=50, filled=True, color=ORANGE, opacity=1)
    tooltip = [_MOMENT, alt.Tooltip("said:N", title="Judged right")]
    return [
        whiskers,
        squares.encode(y=alt.Y("measured:Q", scale=scale, axis=axis), tooltip=tooltip),
    ]


def stability(windows: Sequence[Window], signal: str) -> Chart:
    """A signal's stability index; crosses are windows that ring."""
    rows = [
        {"end": window["end"], "psi": shift["psi"], "kind": "rings" if shift["alarm"] else "usual"}
        for window in windows
        for shift in window["shifts"]
        if shift["signal"] == signal
    ]
    axis = alt.Axis(title="PSI", tickCount=4)
    most = max(0.3, *(1.1 * row["psi"] for row in rows))
    base = alt.Chart(_table(rows)).encode(
        x=_WHEN,
        y=alt.Y(
            "psi:Q",
            scale=alt.Scale(domain=[0, most]),
            axis=axis,
        ),
    )
    kinds = ["usual", "rings"]
    marks = base.mark_point(size=70, filled=True, opacity=1).encode(
        shape=alt.Shape(
            "kind:N", scale=alt.Scale(domain=kinds, range=["circle", "cross"]), legend=None
        ),
        color=alt.Color("kind:N", scale=alt.Scale(domain=kinds, range=[BLUE, ORANGE]), legend=None),
        tooltip=[_MOMENT, alt.Tooltip("psi:Q", title="PSI", format=".3f"), "kind:N"],
    )
    line = base.mark_line(color=BLUE)
    return alt.layer(line, marks, *_rules([STABLE, SHIFTED], axis), height=130)


def shares(windows: Sequence[Window], labels: Sequence[str]) -> Chart:
    """How often labels were answered; dashed as often as they were in the reference."""
    rows = [
        {
            **{"end": window["end"], "label": share["label"], "usual": share["reference"]},
            **{"share": share["window"], "said": percent(share["window"])},
        }
        for window in windows
        for share in window["labels"]
        if share["label"] in labels
    ]
    table = _table(rows)
    axis = alt.Axis(format="%", title="Answers", tickCount=5)
    base = alt.Chart(table).encode(
        x=_WHEN,
        color=alt.Color("label:N", scale=alt.Scale(scheme="tableau10"), legend=None),
    )
    lines = base.mark_line(point=True).encode(
        y=alt.Y("share:Q", axis=axis),
        tooltip=[_MOMENT, alt.Tooltip("label:N", title="Code"), alt.Tooltip("said:N", title="Now")],
    )
    usual = base.mark_line(strokeDash=[5, 4], strokeWidth=1).encode(y=alt.Y("usual:Q", axis=axis))
    last = table[table["end"] == table["end"].max()]
    names = alt.Chart(last).mark_text(align="left", dx=8, fontSize=13, color=GREY)
    named = names.encode(x=_WHEN, y=alt.Y("share:Q", axis=axis), text="label:N")
    return alt.layer(usual, lines, named, height=240)


def _rules(heights: Sequence[float | None], axis: alt.Axis) -> list[alt.Chart]:
    table = pd.DataFrame({"height": [height for height in heights if height is not None]})
    if table.empty:
        return []
    rule = alt.Chart(table).mark_rule(color=GREY, strokeDash=[5, 4])
    return [rule.encode(y=alt.Y("height:Q", axis=axis))]


def _table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(list(rows))
    table["end"] = pd.to_datetime(table["end"], utc=True, format="ISO8601")
    return table
