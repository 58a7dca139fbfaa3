"""The pictures of the page. Knows figures, no service.

Every bar and cell has its figure written on it, so that nothing is told by colour alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from patclass.ui.words import percent

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
