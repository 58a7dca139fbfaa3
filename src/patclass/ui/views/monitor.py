"""Monitoring: whether current patents differ from the reference data, and the accuracy on them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from patclass.ui.charts import SHIFTED, STABLE, accuracy, label_shares, stability_index
from patclass.ui.formatting import level_name, literal, percent, plural
from patclass.ui.session import api, errors_shown, models, select_model

_MAX_DRAWN = 3  # codes in the chart at first, those whose shares changed most

Window = Mapping[str, Any]


def page() -> None:
    """The state of the selected model, then its figures over time."""
    st.title("Input drift", anchor=False)
    with errors_shown():
        monitor = api().monitor(select_model(models()).name)
        if not monitor["monitored"]:
            st.info(
                "Drift cannot be measured: this model was saved without reference data.",
                icon=":material/info:",
            )
        elif not monitor["windows"]:
            needed = plural(monitor["window"], "prediction", "predictions")
            st.info(
                f"Not enough data yet: the first comparison needs {needed}, "
                f"{monitor['answers']:,} of which are available.",
                icon=":material/hourglass:",
            )
        else:
            _draw(monitor)


def _draw(monitor: Mapping[str, Any]) -> None:
    windows = monitor["windows"]
    _state(windows)
    left, right = st.columns(2, gap="large")
    with left:
        _accuracy(windows, monitor["accuracy"])
    with right:
        _label_shares(windows)
    _signals(windows)
    st.subheader("Latest window", anchor=False)
    st.dataframe(_figures(windows[-1]), hide_index=True)
    titles = {shift["signal"]: shift["title"] for shift in windows[-1]["shifts"]}
    _alerts(monitor["alerts"], titles)


def _state(windows: Sequence[Window]) -> None:
    latest = windows[-1]
    titles = [shift["title"] for shift in latest["shifts"] if shift["alert"]]
    predictions = f"the last {latest['rows']:,} predictions"
    if not titles:
        st.success(
            f"**No drift detected.** There is no significant difference between {predictions} and "
            "the reference data on which the model was evaluated.",
            icon=":material/check:",
        )
        return
    st.warning(
        f"**Drift detected** {_since(windows)}. There is a significant difference between "
        f"{predictions} and the reference data on which the model was evaluated. Signals: "
        f"{literal(', '.join(titles))}. Review a sample of the predictions before relying on them.",
        icon=":material/warning:",
    )


def _since(windows: Sequence[Window]) -> str:
    """Since when every window has raised an alert."""
    count = 0
    for window in reversed(windows):
        if not any(shift["alert"] for shift in window["shifts"]):
            break
        count += 1
    earlier = " or earlier" if count == len(windows) else ""
    return f"since {_time(windows[-count]['end'])} UTC{earlier}"


def _accuracy(windows: Sequence[Window], reference: Mapping[str, float]) -> None:
    st.subheader("Accuracy", anchor=False)
    levels = list(windows[-1]["accuracy"])
    level = st.segmented_control(
        "Level", levels, default=levels[0], required=True, format_func=level_name
    )
    latest = windows[-1]["accuracy"][level]
    estimated = percent(latest["estimated"])
    measured = (
        f"{latest['correct']:,} of {latest['reviewed']:,} reviewed predictions are correct"
        if latest["reviewed"]
        else "no predictions have been reviewed yet"
    )
    st.caption(
        f"Last {latest['rows']:,} predictions: estimated accuracy {estimated}, by the confidence "
        f"of the model (blue); {measured} (orange squares). Dashed line: accuracy on the reference "
        "data."
    )
    st.altair_chart(
        accuracy(windows, level, reference.get(level)), alt=f"Estimated: {estimated}; {measured}."
    )


def _signals(windows: Sequence[Window]) -> None:
    st.subheader("Drift by signal", anchor=False)
    st.caption(
        "Population stability index (PSI) of each window against the reference data: below "
        f"{STABLE} is stable, above {SHIFTED} is a shift. An orange cross is an alert: a "
        "significant difference. Times are UTC."
    )
    shifts = windows[-1]["shifts"]
    for start in range(0, len(shifts), 2):
        for column, shift in zip(st.columns(2), shifts[start : start + 2], strict=False):
            signal = shift["signal"]
            column.markdown(f"**{literal(shift['title'])}**: {literal(shift['description'])}")
            column.altair_chart(stability_index(windows, signal), alt=_alt_text(windows, signal))


def _label_shares(windows: Sequence[Window]) -> None:
    st.subheader("Predicted codes", anchor=False)
    shares = sorted(windows[-1]["labels"], key=lambda s: -abs(s["window"] - s["reference"]))
    codes = [share["label"] for share in shares]
    selected = st.multiselect("Codes", sorted(codes), default=codes[:_MAX_DRAWN])
    st.caption("Share of predictions per code. Dashed line: share in the reference data.")
    if selected:
        text = "; ".join(
            f"{share['label']}: {percent(share['window'])}, "
            f"in the reference data {percent(share['reference'])}"
            for share in shares
            if share["label"] in selected
        )
        st.altair_chart(label_shares(windows, selected), alt=text)
    with st.expander("All codes"):
        st.dataframe(
            pd.DataFrame(
                {
                    "Code": codes,
                    "Reference": [percent(share["reference"]) for share in shares],
                    "Latest window": [percent(share["window"]) for share in shares],
                }
            ),
            hide_index=True,
        )


def _figures(window: Window) -> pd.DataFrame:
    shifts = window["shifts"]
    return pd.DataFrame(
        {
            "Signal": [shift["title"] for shift in shifts],
            "Alert": ["yes" if shift["alert"] else "no" for shift in shifts],
            "PSI": [f"{shift['psi']:.3f}" for shift in shifts],
            "Jensen–Shannon distance": [f"{shift['js']:.3f}" for shift in shifts],
            "KS statistic": [_or_dash(shift["ks"], ".3f") for shift in shifts],
            "p-value": [f"{shift['p']:.2g}" for shift in shifts],
            "Reference mean": [_or_dash(shift["reference"], ".4g") for shift in shifts],
            "Window mean": [_or_dash(shift["window"], ".4g") for shift in shifts],
        }
    )


def _alerts(alerts: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> None:
    st.subheader("Alerts", anchor=False)
    if not alerts:
        st.markdown("No alerts so far.")
        return
    table = pd.DataFrame(
        {
            "Time (UTC)": [_time(alert["time"]) for alert in alerts],
            "Signals": [", ".join(titles[name] for name in alert["signals"]) for alert in alerts],
        }
    )
    st.dataframe(table, hide_index=True)


def _alt_text(windows: Sequence[Window], signal: str) -> str:
    shifts = [s for window in windows for s in window["shifts"] if s["signal"] == signal]
    alerts = sum(shift["alert"] for shift in shifts)
    return f"Latest PSI: {shifts[-1]['psi']:.3f}; windows with an alert: {alerts} of {len(shifts)}"


def _time(time: str) -> str:
    return f"{datetime.fromisoformat(time):%Y-%m-%d %H:%M}"


def _or_dash(value: float | None, format_spec: str) -> str:
    return "–" if value is None else format(value, format_spec)
