"""The model: how good it is, by its own test, and which others are loaded."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from patclass.ui.charts import confusion, reliability
from patclass.ui.client import Model
from patclass.ui.session import api, choose, models, told_in_words
from patclass.ui.wording import percent


def page() -> None:
    """Card, figures and pictures of the chosen model."""
    st.title("How good is the model?", anchor=False)
    with told_in_words():
        loaded = models()
        model = choose(loaded)
        card, report = _report(model.name, model.version)
        if report is None:
            st.info("This model came without an evaluation; its makers can add one.")
        else:
            _figures(model, report)
            _pictures(model, report)
        with st.expander("Model card"):
            st.markdown(_without_front_matter(card))


@st.cache_data(max_entries=8, show_spinner=False)
def _report(name: str, version: str) -> tuple[str, dict[str, Any] | None]:
    return api().report(name)


def _figures(model: Model, report: Mapping[str, Any]) -> None:
    levels = report["levels"]
    rows = next(iter(levels.values()))["metrics"]["rows"]
    st.markdown(f"Measured on {rows:,} patents that it did not learn from:")
    table = pd.DataFrame(
        [
            {
                "Level": level.capitalize(),
                "Right": percent(found["metrics"]["accuracy"]),
                "19 times in 20 between": _between(found["accuracy_interval"]),
                "Codes": len(found["metrics"]["per_class"]),
                "Average over codes (F1)": percent(found["metrics"]["macro_f1"]),
                "Error of its confidence": percent(found["ece"]),
            }
            for level, found in levels.items()
        ]
    )
    st.dataframe(table, hide_index=True)


def _pictures(model: Model, report: Mapping[str, Any]) -> None:
    levels = list(report["levels"])
    level = st.segmented_control(
        "Level", levels, default=levels[0], required=True, format_func=str.capitalize
    )
    found = report["levels"][level]
    st.subheader("Does it keep its word?", anchor=False)
    st.caption("On the dashed line, it is right as often as it says. Larger dots: more patents.")
    bins = [entry for entry in found["reliability"] if entry["rows"]]
    st.altair_chart(reliability(bins), alt=_bins_in_words(bins))
    st.subheader("What it takes for what", anchor=False)
    codes = [entry["code"] for entry in found["metrics"]["per_class"]]
    cells = _cells(codes, found["metrics"]["confusion"])
    st.caption("Patents by their true code and by the code answered; the most frequent codes.")
    st.altair_chart(confusion(cells), alt="Confusion matrix; the table below has its figures.")
    with st.expander("Every code"):
        st.dataframe(_per_code(found["metrics"]["per_class"]), hide_index=True)


def _per_code(entries: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Code": [entry["code"] for entry in entries],
            "Patents": [entry["support"] for entry in entries],
            "Right when it says so": [percent(entry["precision"]) for entry in entries],
            "Found": [percent(entry["recall"]) for entry in entries],
        }
    )


def _cells(codes: Sequence[str], found: Any) -> list[tuple[str, str, int]]:
    """Filled cells of a confusion matrix, which is stored whole or as its filled cells."""
    if isinstance(found, Mapping):
        return [(codes[row], codes[column], count) for row, column, count in found["cells"]]
    return [
        (codes[row], codes[column], count)
        for row, counts in enumerate(found)
        for column, count in enumerate(counts)
        if count
    ]


def _between(interval: Mapping[str, float]) -> str:
    return f"{percent(interval['low'])} and {percent(interval['high'])}"


def _bins_in_words(bins: Sequence[Mapping[str, float]]) -> str:
    return "; ".join(
        f"says {percent(entry['confidence'])}, is right {percent(entry['accuracy'])}"
        for entry in bins
    )


def _without_front_matter(card: str) -> str:
    if not card.startswith("---"):
        return card
    return card.split("---", 2)[-1].lstrip()
