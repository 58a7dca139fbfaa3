"""Monitoring: whether patents are still like those that the model was measured on."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from patclass.ui.charts import accuracy, shares, stability
from patclass.ui.session import api, choose, models, told_in_words
from patclass.ui.wording import percent, plural

# What the service's signals are called here, with what is meant.
SIGNALS = {
    "confidence": ("How sure it is", "how sure the answers are"),
    "labels": ("Codes", "which codes are answered"),
    "length": ("Length", "how long the texts are"),
    "oov_rate": ("New words", "how many words it has not learnt from"),
    "novelty": ("Unlikeness", "how unlike usual patents the texts are"),
}
_SHOWN = 3  # codes that are drawn at first, those that have moved most

Window = Mapping[str, Any]


def page() -> None:
    """A verdict in words, then its reasons over time."""
    st.title("Are patents still as they were?", anchor=False)
    with told_in_words():
        found = api().monitor(choose(models()).name)
        if not found["watched"]:
            st.info(
                "This model has nothing to compare its answers with. Whoever runs the service can "
                "add it with `patclass monitor reference`.",
                icon=":material/info:",
            )
        elif not found["windows"]:
            needed = plural(found["window"], "answer", "answers")
            st.info(
                f"There is nothing to show yet: it takes {needed}, and so far there are "
                f"{found['answers']:,}.",
                icon=":material/hourglass:",
            )
        else:
            _show(found)


def _show(found: Mapping[str, Any]) -> None:
    windows = found["windows"]
    _verdict(windows)
    _accuracy(windows, found["accuracy"])
    st.subheader("What has moved", anchor=False)
    st.caption(
        "How far each window of answers is from those that the model was measured on (population "
        "stability index): below 0.1 is called stable, above 0.25 a shift. An orange cross: more "
        "than chance. Times are UTC."
    )
    for row in (("labels", "confidence"), ("length", "oov_rate"), ("novelty",)):
        for column, signal in zip(st.columns(2), row, strict=False):
            column.markdown(f"**{SIGNALS[signal][0]}**: {SIGNALS[signal][1]}")
            column.altair_chart(stability(windows, signal), alt=_in_words(windows, signal))
    _codes(windows)
    st.subheader("The last window in figures", anchor=False)
    st.dataframe(_figures(windows[-1]), hide_index=True)
    _alarms(found["alerts"])


def _verdict(windows: Sequence[Window]) -> None:
    last = windows[-1]
    what = [SIGNALS[shift["signal"]][1] for shift in last["shifts"] if shift["alert"]]
    answers = f"the last {last['rows']:,} answers"
    if not what:
        st.success(
            f"**As usual**: {answers} do not differ by more than chance from those that the model "
            "was measured on.",
            icon=":material/check:",
        )
        return
    st.warning(
        f"**Shifted** {_since(windows)}: {answers} differ by more than chance from those that the "
        f"model was measured on, in {' and '.join(what)}. Have some checked before you rely on "
        "them.",
        icon=":material/warning:",
    )


def _since(windows: Sequence[Window]) -> str:
    """Since when windows have rung without a break."""
    ringing = 0
    for window in reversed(windows):
        if not any(shift["alert"] for shift in window["shifts"]):
            break
        ringing += 1
    earlier = " or earlier" if ringing == len(windows) else ""
    return f"since {_moment(windows[-ringing]['end'])}{earlier}"


def _accuracy(windows: Sequence[Window], usual: Mapping[str, float]) -> None:
    st.subheader("How many answers are right", anchor=False)
    levels = list(windows[-1]["accuracy"])
    level = st.segmented_control(
        "Level", levels, default=levels[0], required=True, format_func=str.capitalize
    )
    found = windows[-1]["accuracy"][level]
    measured = (
        f"people judged {plural(found['judged'], 'answer', 'answers')}, of which "
        f"{found['right']:,} were right"
        if found["judged"]
        else "nobody has judged any of them yet"
    )
    st.caption(
        f"Of the last {found['rows']:,} answers {percent(found['estimated'])} should be right by "
        f"what the model says itself (blue); {measured} (orange squares). Dashed: as it was "
        "measured."
    )
    said = f"Estimated: {percent(found['estimated'])}; {measured}."
    st.altair_chart(accuracy(windows, level, usual.get(level)), alt=said)


def _codes(windows: Sequence[Window]) -> None:
    st.subheader("Which codes are answered", anchor=False)
    moved = sorted(windows[-1]["labels"], key=lambda s: -abs(s["window"] - s["reference"]))
    labels = [share["label"] for share in moved]
    chosen = st.multiselect("Codes", sorted(labels), default=labels[:_SHOWN])
    st.caption("Dashed: their share of the answers that the model was measured on.")
    if chosen:
        said = "; ".join(
            f"{share['label']}: {percent(share['window'])}, usually {percent(share['reference'])}"
            for share in moved
            if share["label"] in chosen
        )
        st.altair_chart(shares(windows, chosen), alt=said)
    with st.expander("Every code"):
        st.dataframe(
            pd.DataFrame(
                {
                    "Code": labels,
                    "Usually": [percent(share["reference"]) for share in moved],
                    "Now": [percent(share["window"]) for share in moved],
                }
            ),
            hide_index=True,
        )


def _figures(window: Window) -> pd.DataFrame:
    shifts = window["shifts"]
    return pd.DataFrame(
        {
            "What": [SIGNALS[shift["signal"]][0] for shift in shifts],
            "PSI": [f"{shift['psi']:.3f}" for shift in shifts],
            "Jensen–Shannon": [f"{shift['js']:.3f}" for shift in shifts],
            "Largest gap": [_or_dash(shift["ks"], ".3f") for shift in shifts],
            "By chance": [f"{shift['p']:.2g}" for shift in shifts],
            "Usual mean": [_or_dash(shift["reference"], ".4g") for shift in shifts],
            "Mean now": [_or_dash(shift["window"], ".4g") for shift in shifts],
            "Rings": ["yes" if shift["alert"] else "no" for shift in shifts],
        }
    )


def _alarms(alerts: Sequence[Mapping[str, Any]]) -> None:
    st.subheader("Alarms", anchor=False)
    if not alerts:
        st.markdown("None so far.")
        return
    table = pd.DataFrame(
        {
            "When (UTC)": [_moment(alert["time"]) for alert in alerts],
            "What": [", ".join(SIGNALS[name][0] for name in alert["signals"]) for alert in alerts],
        }
    )
    st.dataframe(table, hide_index=True)


def _in_words(windows: Sequence[Window], signal: str) -> str:
    shifts = [s for window in windows for s in window["shifts"] if s["signal"] == signal]
    rung = sum(shift["alert"] for shift in shifts)
    return f"PSI now {shifts[-1]['psi']:.3f}; windows that ring: {rung} of {len(shifts)}"


def _moment(time: str) -> str:
    return f"{datetime.fromisoformat(time):%Y-%m-%d %H:%M}"


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
