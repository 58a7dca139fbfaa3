"""All codes of a patent as chips, from a precision on. Knows an answer's codes, no service."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd
import streamlit as st

from patclass.ui.formatting import percent, plain_level, plural

Code = Mapping[str, Any]

MAIN = "main"
_MAX_CHIPS = 60  # of a level
_START = 80  # per cent; what most patents carry would be given to all at less
_CAPTIONS = {
    "precision": "{0}: the main ones, and additional ones of which on validation patents at least "
    "{1} % were right.",
    "probability": "{0}: the main ones, and additional ones with a probability of at least {1} %.",
}

_STYLE = """<style>
ul.chips { list-style: none; margin: 0 0 .6rem; padding: 0; display: flex; flex-wrap: wrap; }
ul.chips li { margin: 0 .35rem .35rem 0; padding: .1rem .6rem; border-radius: 1rem;
  border: 1px solid rgb(128 128 128 / 60%); overflow-wrap: anywhere; }
ul.chips .main { border: 2px solid currentcolor; font-weight: 600; }
ul.chips small { opacity: .8; }
</style>"""


def draw_codes(codes: Sequence[Code], key: str) -> None:
    """The codes that are as precise as the visitor chooses; nothing without codes.

    By their probability if the model knows no precision.

    :param codes: with ``code``, ``title``, ``level``, ``probability``, ``precision`` and ``role``,
        as in the API.
    :param key: of the input fields; one for each prediction.
    """
    if not codes:
        return
    st.subheader("All codes", anchor=False)
    known = all(code["precision"] is not None for code in codes if code["role"] != MAIN)
    figure = "precision" if known else "probability"
    least = st.slider(
        f"{figure.capitalize()} at least (%): left for recall, right for precision",
        *(1, 99, _START),
        key=f"all-codes-{key}",
    )
    shown = assigned(codes, figure, least / 100)
    st.caption(_CAPTIONS[figure].format(plural(len(shown), "code", "codes"), least))
    st.html(_STYLE + chips(shown))
    with st.expander("Titles"):
        st.dataframe(_table(shown), hide_index=True)


def assigned(codes: Sequence[Code], figure: str, least: float) -> list[Code]:
    """The main codes, and those whose ``figure`` is at least ``least``.

    The most probable of a level comes first. The levels keep their order, coarsest first.

    :param figure: ``precision`` or ``probability``.
    """
    levels = list(dict.fromkeys(code["level"] for code in codes))
    return sorted(
        (code for code in codes if code["role"] == MAIN or code[figure] >= least),
        key=lambda code: (levels.index(code["level"]), -code["probability"]),
    )


def chips(codes: Sequence[Code]) -> str:
    """Codes as HTML, a list for each level; titles are tooltips."""
    lists = []
    for level in dict.fromkeys(code["level"] for code in codes):
        of_level = [code for code in codes if code["level"] == level]
        items = "".join(map(_chip, of_level[:_MAX_CHIPS]))
        if len(of_level) > _MAX_CHIPS:
            items += f"<li>{len(of_level) - _MAX_CHIPS} more</li>"
        name = escape(plain_level(str(level)))
        lists.append(f'<div>{name}</div><ul class="chips" aria-label="{name}">{items}</ul>')
    return "".join(lists)


def _chip(code: Code) -> str:
    role, probability = escape(code["role"], quote=True), percent(code["probability"])
    return (
        f'<li class="{role}" title="{escape(code["title"], quote=True)}">{escape(code["code"])} '
        f"<small>{probability}{f', {role}' if role == MAIN else ''}</small></li>"
    )


def _table(codes: Sequence[Code]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Code": [code["code"] for code in codes],
            "Title": [code["title"] for code in codes],
            "Level": [plain_level(str(code["level"])) for code in codes],
            "Probability": [percent(code["probability"]) for code in codes],
            "Role": [code["role"] for code in codes],
        }
    )
