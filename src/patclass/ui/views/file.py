"""A whole file of patents: dropped, looked at, answered beside the page, and taken home."""

import streamlit as st

from patclass.ui.jobs import Job
from patclass.ui.problems import Trouble
from patclass.ui.session import api, chosen_model, jobs, labels, models, tell, told_in_words
from patclass.ui.tables import ROLES, SUFFIXES, Table, guess_columns, patent_of, read_table
from patclass.ui.views.results import draw
from patclass.ui.words import plural, time_left

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
        "Drop a CSV, XLSX, JSONL or Parquet file", type=list(SUFFIXES), key="table"
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
