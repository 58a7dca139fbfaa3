"""The answers for a file: filtered, counted, and taken home."""

from collections.abc import Mapping
from functools import partial

import pandas as pd
import streamlit as st

from patclass.ui.charts import distribution
from patclass.ui.jobs import Job
from patclass.ui.tables import answers_table, as_csv, as_parquet, as_xlsx
from patclass.ui.words import LIKELY, SURE, UNSURE, plural

_KINDS = {
    "CSV": (as_csv, "csv", "text/csv"),
    "XLSX": (
        as_xlsx,
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    "Parquet": (as_parquet, "parquet", "application/octet-stream"),
}
_SHOWN = ["Patent", "Code", "Title of the code", "Confidence", "In words", "Remarks"]
_LEVELS = ["Code", "Section", "Class", "Subclass"]
_COLUMNS = {
    "Confidence": st.column_config.NumberColumn(format="%d %%"),
    "Remarks": st.column_config.TextColumn(width="large"),
}


def draw(job: Job) -> None:
    """A table that can be narrowed, what it holds by code, what failed, and downloads."""
    table = _table(job.id, job)
    failed = table["Failed because"].notna()
    answered = table[~failed].drop(columns="Failed because")
    summary = answered["In words"].value_counts()
    for column, word in zip(st.columns(4), (SURE, LIKELY, UNSURE, "failed"), strict=True):
        count = int(failed.sum()) if word == "failed" else int(summary.get(word, 0))
        column.metric(word.partition(":")[0].capitalize(), f"{count:,}")
    if not answered.empty:
        shown = _narrowed(answered)
        st.markdown(f"**{plural(len(shown), 'patent', 'patents')}**")
        st.dataframe(_in_percent(shown), hide_index=True, column_config=_COLUMNS, key="answers")
        _chart(shown, job.titles)
    if failed.any():
        st.subheader(f"{plural(int(failed.sum()), 'row', 'rows')} failed", anchor=False)
        st.dataframe(table.loc[failed, ["Patent", "Failed because"]], hide_index=True)
    _downloads(job, table)


@st.cache_data(max_entries=4, show_spinner=False)
def _table(job_id: str, _job: Job) -> pd.DataFrame:
    """The answers of a job that has ended; built once, not at each change of a filter."""
    return answers_table(_job.results)


def _narrowed(answered: pd.DataFrame) -> pd.DataFrame:
    codes, least, words = st.columns(3)
    found = (answered[level].dropna() for level in _LEVELS)
    starts = sorted({str(code) for codes in found for code in codes})
    wanted = codes.multiselect("Codes", starts, placeholder="All codes")
    bounds = least.slider("Confidence, in %", 0, 100, (0, 100))
    said = words.multiselect("In words", [SURE, LIKELY, UNSURE], placeholder="All")
    keep = answered["Confidence"].between(bounds[0] / 100, bounds[1] / 100)
    if wanted:
        keep &= answered[_LEVELS].isin(wanted).any(axis=1)
    if said:
        keep &= answered["In words"].isin(said)
    return answered[keep]


def _in_percent(shown: pd.DataFrame) -> pd.DataFrame:
    """What fits a screen; the downloads have all columns."""
    return shown[_SHOWN].assign(Confidence=(100 * shown["Confidence"]).round())


def _chart(shown: pd.DataFrame, titles: Mapping[str, str]) -> None:
    if shown.empty:
        return
    st.subheader("How the patents spread", anchor=False)
    levels = [name for name in _LEVELS if shown[name].notna().any()]
    level = st.segmented_control(
        "Level", levels, default=levels[-1] if len(levels) == 1 else levels[1], required=True
    )
    codes = shown[str(level)].dropna()
    counts = "; ".join(f"{code}: {count}" for code, count in codes.value_counts().items())
    st.altair_chart(distribution(list(codes), titles), alt=counts)


def _downloads(job: Job, table: pd.DataFrame) -> None:
    st.subheader("Take the answers home", anchor=False)
    stem = job.name.rpartition(".")[0] or job.name
    with st.container(horizontal=True):
        for kind, (write, suffix, media) in _KINDS.items():
            st.download_button(
                kind,
                partial(write, table),
                file_name=f"{stem}-codes.{suffix}",
                mime=media,
                icon=":material/download:",
                on_click="ignore",
                key=f"download-{suffix}",
            )
