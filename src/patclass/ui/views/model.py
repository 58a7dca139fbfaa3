"""The evaluation of a model, and the selection among the loaded models."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from patclass.evaluation.charts import calibration_curve, confusion_cells, confusion_matrix
from patclass.ui.formatting import level_name, percent, plain_level, without_pictures
from patclass.ui.session import api, errors_shown, models, select_model


def page() -> None:
    """Metrics, charts and card of the selected model."""
    st.title("Model evaluation", anchor=False)
    with errors_shown():
        model = select_model(models())
        card, report = _report(model.name, model.version)
        if report is None:
            st.info("This model has no evaluation report.")
        else:
            _metrics(report)
            _charts(report)
        with st.expander("Model card"):
            st.markdown(without_pictures(_without_front_matter(card)))


@st.cache_data(max_entries=8, show_spinner=False)
def _report(name: str, version: str) -> tuple[str, dict[str, Any] | None]:
    return api().report(name)


def _metrics(report: Mapping[str, Any]) -> None:
    levels = report["levels"]
    rows = next(iter(levels.values()))["metrics"]["rows"]
    st.markdown(f"Evaluated on {rows:,} held-out patents:")
    table = pd.DataFrame(
        [
            {
                "Level": plain_level(level),
                "Codes": len(entry["metrics"]["per_class"]),
                "Accuracy": percent(entry["metrics"]["accuracy"]),
                "95 % interval": _interval(entry["accuracy_interval"]),
                "Macro F1": percent(entry["metrics"]["macro_f1"]),
                "Calibration error": percent(entry["ece"]),
            }
            for level, entry in levels.items()
        ]
    )
    st.dataframe(table, hide_index=True)


def _charts(report: Mapping[str, Any]) -> None:
    levels = list(report["levels"])
    level = st.segmented_control(
        "Level", levels, default=levels[0], required=True, format_func=level_name
    )
    entry = report["levels"][level]
    left, right = st.columns(2, gap="large")
    with left:
        _calibration(entry["reliability"])
    with right:
        _confusions(entry["metrics"])
    with st.expander("Metrics per code"):
        st.dataframe(_per_code(entry["metrics"]["per_class"]), hide_index=True)


def _calibration(reliability: Sequence[Mapping[str, float]]) -> None:
    st.subheader("Calibration", anchor=False)
    st.caption(
        "Accuracy by confidence. On the dashed line, accuracy equals confidence. "
        "Larger dots represent more patents."
    )
    bins = [found for found in reliability if found["rows"]]
    st.altair_chart(calibration_curve(bins), alt=_alt_text(bins))


def _confusions(metrics: Mapping[str, Any]) -> None:
    st.subheader("Confusion matrix", anchor=False)
    st.caption("Number of patents by true and predicted code, for the most frequent codes.")
    codes = [row["code"] for row in metrics["per_class"]]
    cells = confusion_cells(codes, metrics["confusion"])
    st.altair_chart(
        confusion_matrix(cells), alt="Confusion matrix; metrics per code are in the table below."
    )


def _per_code(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Code": [row["code"] for row in rows],
            "Patents": [row["support"] for row in rows],
            "Precision": [percent(row["precision"]) for row in rows],
            "Recall": [percent(row["recall"]) for row in rows],
        }
    )


def _interval(interval: Mapping[str, float]) -> str:
    return f"{percent(interval['low'])} – {percent(interval['high'])}"


def _alt_text(bins: Sequence[Mapping[str, float]]) -> str:
    return "; ".join(
        f"confidence {percent(found['confidence'])}, accuracy {percent(found['accuracy'])}"
        for found in bins
    )


def _without_front_matter(card: str) -> str:
    if not card.startswith("---"):
        return card
    return card.split("---", 2)[-1].lstrip()
