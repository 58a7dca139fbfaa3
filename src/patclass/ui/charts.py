"""The charts of the page. Knows figures, no service."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from patclass.ui.wording import percent

BARS = 10
# Blue and orange of Okabe and Ito's palette, which people with any colour vision can tell apart.
BLUE, ORANGE = "#0072B2", "#E69F00"
BRANCH = "branch"  # name of the selection that a click on a bar makes
_TITLE_CHARACTERS = 34
_ROOM = 1.18  # right of a full bar there is room for its figure
_CODES = alt.Axis(
    title=None, labelLimit=190, labelFontSize=13, labelOverlap=False, ticks=False, domain=False
)
_CELLS = 20  # rows and columns that a matrix can have and be read


def alternatives(
    candidates: Sequence[Mapping[str, Any]], answer: str
) -> alt.LayerChart | alt.FacetChart:
    """Bars of codes by how probable they are; a click on one selects it as ``BRANCH``.

    :param answer: the code that is the answer, whose bar stands out.
    """
    table = pd.DataFrame(
        {
            "code": [entry["label"] for entry in candidates],
            "label": [_short(entry["label"], entry["name"]) for entry in candidates],
            "title": [entry["name"] for entry in candidates],
            "share": [entry["confidence"] for entry in candidates],
            "shown": [percent(entry["confidence"]) for entry in candidates],
            "kind": ["answer" if e["label"] == answer else "other" for e in candidates],
        }
    )
    base = alt.Chart(table).encode(
        y=alt.Y("label:N", sort=None, axis=_CODES),
        x=alt.X(
            "share:Q",
            scale=alt.Scale(domain=[0, _ROOM]),
            axis=alt.Axis(format="%", title="How probable", values=[0, 0.25, 0.5, 0.75, 1]),
        ),
        tooltip=[
            alt.Tooltip("code", title="Code"),
            alt.Tooltip("title", title="Title"),
            alt.Tooltip("shown", title="How probable"),
        ],
    )
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=["answer", "other"], range=[BLUE, "#8CA0B3"]),
        legend=None,
    )
    click = alt.selection_point(name=BRANCH, fields=["code"], on="click", empty=False)
    bars = base.mark_bar(cornerRadiusEnd=3, cursor="pointer").encode(color=colour)
    figures = base.mark_text(align="left", dx=4, fontSize=12).encode(
        text="shown", color=alt.value("#808080")
    )
    return alt.layer(bars.add_params(click), figures, height=alt.Step(30))


def distribution(
    codes: Sequence[str], titles: Mapping[str, str]
) -> alt.LayerChart | alt.FacetChart:
    """How many patents each code was given, the most frequent first."""
    counts = pd.Series(list(codes)).value_counts().head(2 * BARS)
    table = pd.DataFrame(
        {
            "label": [_short(str(code), titles.get(str(code), "")) for code in counts.index],
            "patents": counts.to_numpy(),
        }
    )
    base = alt.Chart(table).encode(
        y=alt.Y("label:N", sort=None, axis=_CODES),
        x=alt.X("patents:Q", axis=alt.Axis(title="Patents", tickMinStep=1)),
        tooltip=[alt.Tooltip("label", title="Code"), alt.Tooltip("patents", title="Patents")],
    )
    bars = base.mark_bar(color=BLUE, cornerRadiusEnd=3)
    figures = base.mark_text(align="left", dx=4, fontSize=12, color="#808080").encode(
        text="patents"
    )
    return alt.layer(bars, figures, height=alt.Step(28))


def reliability(bins: Sequence[Mapping[str, float]]) -> alt.LayerChart | alt.FacetChart:
    """What the model says against how often it is right; points on the line keep their word."""
    table = pd.DataFrame(bins)
    said = alt.X(
        "confidence:Q",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format="%", title="The model says", tickCount=5),
    )
    right = alt.Y(
        "accuracy:Q",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format="%", title="It is right", tickCount=5),
    )
    ideal = pd.DataFrame({"confidence": [0.0, 1.0], "accuracy": [0.0, 1.0]})
    line = alt.Chart(ideal).mark_line(strokeDash=[5, 4], color="#808080").encode(x=said, y=right)
    points = (
        alt.Chart(table)
        .mark_circle(color=BLUE, opacity=0.85)
        .encode(
            x=said,
            y=right,
            size=alt.Size("rows:Q", title="Patents", scale=alt.Scale(range=[30, 400])),
            tooltip=[
                alt.Tooltip("confidence", title="It says", format=".0%"),
                alt.Tooltip("accuracy", title="It is right", format=".0%"),
                alt.Tooltip("rows", title="Patents"),
            ],
        )
    )
    return alt.layer(line, points, height=320)


def confusion(cells: Sequence[tuple[str, str, int]]) -> alt.LayerChart | alt.FacetChart:
    """True codes against answered ones; a row's shares add up to one.

    :param cells: true code, answered code, patents; the codes most seen are shown.
    """
    table = pd.DataFrame(cells, columns=["true", "answered", "patents"])
    seen = table.groupby("true")["patents"].sum().nlargest(_CELLS)
    table["share"] = table["patents"] / table["true"].map(table.groupby("true")["patents"].sum())
    shown = sorted(seen.index)
    table = table[table["true"].isin(shown) & table["answered"].isin(shown)]
    base = alt.Chart(table).encode(
        x=alt.X(
            "answered:N",
            sort=shown,
            axis=alt.Axis(title="Answered", labelAngle=0, labelOverlap=False),
        ),
        y=alt.Y("true:N", sort=shown, axis=alt.Axis(title="True code", labelOverlap=False)),
        tooltip=[
            alt.Tooltip("true", title="True code"),
            alt.Tooltip("answered", title="Answered"),
            alt.Tooltip("patents", title="Patents"),
            alt.Tooltip("share", title="Share of the true code", format=".0%"),
        ],
    )
    scale = alt.Scale(domain=[0, 1], scheme="blues")
    squares = base.mark_rect().encode(color=alt.Color("share:Q", scale=scale, legend=None))
    dark = alt.when("datum.share > 0.5").then(alt.value("white")).otherwise(alt.value("#202020"))
    figures = base.mark_text(fontSize=10).encode(text="patents", color=dark)
    return alt.layer(squares, figures, height=alt.Step(24))


def _short(code: str, title: str) -> str:
    text = f"{code} {title}"
    return text if len(text) <= _TITLE_CHARACTERS else text[: _TITLE_CHARACTERS - 1].rstrip() + "…"


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
        {"end": window["end"], "psi": shift["psi"], "kind": "rings" if shift["alert"] else "usual"}
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
