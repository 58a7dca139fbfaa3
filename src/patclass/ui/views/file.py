"""A whole file of patents: dropped, looked at, answered beside the page, and taken home."""

from collections.abc import Mapping
from functools import partial

import pandas as pd
import streamlit as st

from patclass.ui.charts import distribution
from patclass.ui.client import Trouble
from patclass.ui.files import (
    ROLES,
    TABLE_SUFFIXES,
    Table,
    answers_table,
    as_csv,
    as_parquet,
    as_xlsx,
    guess_columns,
    patent_of,
    read_table,
)
from patclass.ui.jobs import Job
from patclass.ui.session import api, chosen_model, jobs, labels, models, tell, told_in_words
from patclass.ui.wording import LIKELY, SURE, UNSURE, plural, time_left

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


_JOB = "job"  # also in the address and in a cookie, so that who comes back finds it
_COOKIE = "patclass_job"
_NONE = "(none)"
_PREVIEW = 10
_MEANING = {
    "id": "Number of the patent",
    "text": "Whole text",
    "title": "Title",
    "abstract": "Abstract",
    "claims": "Claims",
    "description": "Description",
}


def page() -> None:
    """Show the visitor's job, or ask for a file."""
    st.title("Classify a whole file", anchor=False)
    job = _known_job()
    if job is None:
        with told_in_words():
            _ask()
        return
    _remember(job)
    if job.running:
        _watch(job.id)
    else:
        _finished(job)


def _known_job() -> Job | None:
    """The visitor's job by their session, the address, or what their browser remembers."""
    given = (
        st.session_state.get(_JOB),
        st.query_params.get(_JOB),
        None if st.session_state.get("forgotten") else st.context.cookies.get(_COOKIE),
    )
    return next((job for id in given if (job := jobs().get(id)) is not None), None)


def _remember(job: Job) -> None:
    st.session_state[_JOB] = job.id
    st.query_params[_JOB] = job.id
    _set_cookie(job.id)


def _forget() -> None:
    st.session_state.pop(_JOB, None)
    st.session_state["forgotten"] = True
    st.query_params.pop(_JOB, None)


def _set_cookie(value: str) -> None:
    # The id is made of letters, digits, '-' and '_' only.
    script = f"document.cookie = '{_COOKIE}={value}; path=/; max-age=86400; SameSite=Strict'"
    st.html(f"<script>{script}</script>", unsafe_allow_javascript=True)


def _ask() -> None:
    st.markdown(
        "A table with one patent a row; a column for the text, or for title, abstract and claims."
    )
    dropped = st.file_uploader(
        "Drop a CSV, XLSX, JSONL or Parquet file", type=list(TABLE_SUFFIXES), key="table"
    )
    if dropped is None:
        return
    with st.spinner("Reading the file…"):
        table = _read(dropped.name, dropped.file_id, dropped.getvalue())
    chosen = _choose_columns(table, dropped.file_id)
    st.markdown(f"**{plural(len(table.rows), 'row', 'rows')}**; the first of them:")
    shown = [row.fields if row.error is None else {"": row.error} for row in table.rows[:_PREVIEW]]
    st.dataframe([{k: _short(v) for k, v in fields.items()} for fields in shown], hide_index=True)
    if not any(column for role, column in chosen.items() if role != "id"):
        st.warning("Say above which column holds the text, or the title, or the abstract.")
        return
    start = st.button(
        f"Classify {plural(len(table.rows), 'patent', 'patents')}",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
    )
    if start:
        try:
            _start(table, chosen)
        except Trouble as trouble:
            tell(trouble, again=False)
        else:
            st.rerun()


def _start(table: Table, chosen: dict[str, str | None]) -> None:
    patents = [row.error or patent_of(row, chosen) for row in table.rows]
    model = chosen_model(models())
    titles = {label.code: label.title for label in labels(model)}
    _remember(jobs().start(Job(table.name, model.name, patents, titles), api()))


@st.cache_data(max_entries=4, show_spinner=False)
def _read(name: str, file_id: str, _content: bytes) -> Table:
    return read_table(name, _content)


def _choose_columns(table: Table, file_id: str) -> dict[str, str | None]:
    guessed = guess_columns(table.columns)
    found = [_MEANING[role].lower() for role in ROLES if guessed[role]]
    st.markdown(
        f"Recognised: {', '.join(found)}." if found else "No column was recognised by its name."
    )
    chosen: dict[str, str | None] = {}
    with st.expander("Which column is what", expanded=not found):
        for role in ROLES:
            options = [_NONE, *table.columns]
            index = options.index(guessed[role] or _NONE)
            picked = st.selectbox(_MEANING[role], options, index=index, key=f"{role}-{file_id}")
            chosen[role] = None if picked == _NONE else picked
    return chosen


@st.fragment(run_every=1.0)
def _watch(id: str) -> None:
    """How far the job is, drawn every second by itself."""
    job = jobs().get(id)
    if job is None or not job.running:
        st.rerun()
    left = job.seconds_left
    told = f"{job.done:,} of {plural(job.total, 'patent', 'patents')}"
    if left is not None:
        told += f"; about {time_left(left)} left"
    st.progress(job.done / max(1, job.total), text=told)
    if job.waiting:
        st.warning(job.waiting, icon=":material/hourglass:")
    st.caption("You can leave this page and come back; the work goes on.")
    if st.button("Stop", icon=":material/stop:"):
        job.cancel()


def _finished(job: Job) -> None:
    if job.stopped:
        rest = plural(job.total - job.done, "patent was", "patents were")
        st.warning(f"{job.stopped} {rest} not read.", icon=":material/warning:")
    st.button("Another file", icon=":material/upload:", on_click=_forget)
    with told_in_words():
        if not job.results:
            raise Trouble("input", "There are no answers to show.")
        draw(job)


def _short(value: object) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= 200 else text[:199] + "…"
