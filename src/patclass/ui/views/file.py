"""A file of patents: uploaded, classified in the background, filtered and downloaded."""

from collections.abc import Mapping
from functools import partial
from itertools import islice

import pandas as pd
import streamlit as st

from patclass.core.settings import FORM_OPTIONS
from patclass.data.columns import free_name
from patclass.ui.charts import code_counts
from patclass.ui.client import PageError
from patclass.ui.files import COLUMNS as RESULT_COLUMNS
from patclass.ui.files import (
    ROLES,
    TABLE_SUFFIXES,
    UploadedTable,
    as_csv,
    as_parquet,
    as_xlsx,
    patent_of,
    read_table,
    results_table,
)
from patclass.ui.formatting import HIGH, LOW, MEDIUM, duration, literal, plural
from patclass.ui.jobs import BatchJob
from patclass.ui.session import api, errors_shown, jobs, labels, models, selected_model, show_error

_JOB = "job"  # in the session and in the URL
_DISMISSED = "dismissed"
_COOKIE = "patclass_job"
_NO_COLUMN = "(none)"
_PREVIEW_ROWS = 10
_MAX_CELL = 200  # characters of a cell in the preview
_ROLE_NAMES = {
    "id": "Publication number",
    "text": "Full text",
    "title": "Title",
    "abstract": "Abstract",
    "claims": "Claims",
    "description": "Description",
}
_RECOGNISED = "(recognised)"
_DELIMITERS = {"Comma": ",", "Semicolon": ";", "Tab": "tab", "Vertical bar": "|"}
_ENCODINGS = {
    "UTF-8": "utf-8",
    "Windows-1252": "cp1252",
    "UTF-16": "utf-16",
    "Shift JIS": "shift_jis",
    "GB 18030": "gb18030",
    "EUC-KR": "euc_kr",
}
_FORM_VALUES = {"delimiter": _DELIMITERS, "encoding": _ENCODINGS}

_DOWNLOADS = {
    "CSV": (as_csv, "csv", "text/csv"),
    "XLSX": (
        as_xlsx,
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    "Parquet": (as_parquet, "parquet", "application/octet-stream"),
}
_LEVELS = [HIGH, MEDIUM, LOW]
_CODE_COLUMNS = ["Code", "Section", "Class", "Subclass"]
_SHOWN_COLUMNS = ["Patent", "Code", "Code title", "Confidence", "Confidence level", "Warnings"]
_COLUMN_FORMATS = {
    "Confidence": st.column_config.NumberColumn(format="%d %%"),
    "Warnings": st.column_config.TextColumn(width="large"),
}


def page() -> None:
    """Show the visitor's job, or ask for a file."""
    st.title("Classify a file", anchor=False)
    job = _current_job()
    if job is None:
        with errors_shown():
            _upload()
        return
    _remember(job)
    if job.running:
        _progress(job.id)
    else:
        _finished(job)


def _current_job() -> BatchJob | None:
    """The visitor's job, by the session, the URL or a cookie."""
    ids = (
        st.session_state.get(_JOB),
        st.query_params.get(_JOB),
        None if st.session_state.get(_DISMISSED) else st.context.cookies.get(_COOKIE),
    )
    return next((job for id in ids if (job := jobs().get(id)) is not None), None)


def _remember(job: BatchJob) -> None:
    st.session_state[_JOB] = job.id
    st.query_params[_JOB] = job.id
    _set_cookie(job.id)


def _dismiss() -> None:
    st.session_state.pop(_JOB, None)
    st.session_state[_DISMISSED] = True
    st.query_params.pop(_JOB, None)


def _set_cookie(value: str) -> None:
    # The id consists of letters, digits, '-' and '_' only.
    script = f"document.cookie = '{_COOKIE}={value}; path=/; max-age=86400; SameSite=Strict'"
    st.html(f"<script>{script}</script>", unsafe_allow_javascript=True)


def _upload() -> None:
    st.markdown(
        "One patent per row, with a column for the full text, or with columns for title, abstract "
        "and claims."
    )
    upload = st.file_uploader(
        "Upload a table (CSV, Excel, JSON, Parquet) or documents of an office (XML, PDF, ZIP)",
        type=list(TABLE_SUFFIXES),
        key="table",
    )
    if upload is None:
        return
    with st.spinner("Reading the file…"):
        table = _table_of(upload.name, upload.file_id, upload.getvalue())
    left, right = st.columns([2, 3], gap="large")
    with left:
        mapping = _map_columns(table, upload.file_id)
    with right:
        _preview(table)
    if not any(column for role, column in mapping.items() if role != "id"):
        st.warning("Select the column that contains the full text, the title or the abstract.")
        return
    submitted = st.button(
        f"Classify {plural(table.count, 'patent', 'patents')}",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
    )
    if submitted:
        try:
            _start(table, mapping)
        except PageError as error:
            show_error(error, repeated=False)
        else:
            st.rerun()


def _table_of(name: str, file_id: str, content: bytes) -> UploadedTable:
    """The table, read as the visitor states; as it is recognised if it cannot be read so."""
    stated = {option: st.session_state.get(f"{option}-{file_id}") for option in FORM_OPTIONS}
    values = {
        option: None
        if chosen in (None, _RECOGNISED)
        else _FORM_VALUES.get(option, {}).get(chosen, chosen)
        for option, chosen in stated.items()
    }
    if any(values.values()):
        try:
            return _read(name, file_id, content, **values)
        except PageError as error:
            show_error(error, repeated=False)
    return _read(name, file_id, content)


@st.cache_data(max_entries=4, show_spinner=False)
def _read(
    name: str,
    file_id: str,
    _content: bytes,
    delimiter: str | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
) -> UploadedTable:
    return read_table(name, _content, delimiter, encoding, sheet)


def _map_columns(table: UploadedTable, file_id: str) -> dict[str, str | None]:
    """The column for each role, guessed by its name and corrected by the visitor."""
    recognised = [_ROLE_NAMES[role].lower() for role in ROLES if role in table.roles]
    st.markdown(
        f"Recognised columns: {', '.join(recognised)} ({literal(table.form)})."
        if recognised
        else f"No column was recognised by its name ({literal(table.form)})."
    )
    mapping: dict[str, str | None] = {}
    with st.expander("Column mapping", expanded=not recognised):
        for role in ROLES:
            options = [_NO_COLUMN, *table.columns]
            index = options.index(table.roles.get(role, _NO_COLUMN))
            column = st.selectbox(_ROLE_NAMES[role], options, index=index, key=f"{role}-{file_id}")
            mapping[role] = None if column == _NO_COLUMN else column
        _state_form(table, file_id)
    return mapping


def _state_form(table: UploadedTable, file_id: str) -> None:
    """Let the visitor state how the file is written, where it is not recognised."""
    choices = {"delimiter": _DELIMITERS, "encoding": _ENCODINGS, "sheet": table.sheets}
    for option in table.options:
        if len(choices[option]) > 1:
            names = [_RECOGNISED, *choices[option]]
            st.selectbox(option.capitalize(), names, key=f"{option}-{file_id}")


def _preview(table: UploadedTable) -> None:
    for doubt in table.doubts:
        st.warning(literal(f"{doubt[0].upper()}{doubt[1:]}."), icon=":material/help:")
    count = plural(table.count, "row", "rows")
    first = f"; the first {_PREVIEW_ROWS}:" if table.count > _PREVIEW_ROWS else ":"
    st.markdown(f"**{count}**{first}")
    rows = [
        row.fields if row.error is None else {"": row.error}
        for row in islice(table.rows(), _PREVIEW_ROWS)
    ]
    st.dataframe([{k: _shortened(v) for k, v in row.items()} for row in rows], hide_index=True)


def _shortened(value: object) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _MAX_CELL else text[: _MAX_CELL - 1] + "…"


def _start(table: UploadedTable, mapping: Mapping[str, str | None]) -> None:
    patents = [patent_of(row, mapping) for row in table.rows()]
    model = selected_model(models())
    titles = {label.code: label.title for label in labels(model)}
    job = BatchJob(
        name=table.name,
        model=model.name,
        patents=patents,
        titles=titles,
        own=table.cells,
        title_column=mapping["title"],
    )
    _remember(jobs().start(job, api()))


@st.fragment(run_every=1.0)
def _progress(id: str) -> None:
    job = jobs().get(id)
    if job is None or not job.running:
        st.rerun()
    text = f"{job.done:,} of {plural(job.total, 'patent', 'patents')}"
    if job.seconds_left is not None:
        text += f"; about {duration(job.seconds_left)} remaining"
    st.progress(job.done / max(1, job.total), text=text)
    if job.waiting_for:
        st.warning(literal(job.waiting_for), icon=":material/hourglass:")
    st.caption("You can leave this page and return later; the classification continues.")
    if st.button("Cancel", icon=":material/stop:"):
        job.cancel()


def _finished(job: BatchJob) -> None:
    if job.stop_reason:
        missing = plural(job.total - job.done, "patent was", "patents were")
        reason = literal(job.stop_reason)
        st.warning(f"{reason} {missing} not classified.", icon=":material/warning:")
    st.button("Classify another file", icon=":material/upload:", on_click=_dismiss)
    with errors_shown():
        if not job.results:
            raise PageError("invalid_input", "There are no results.")
        _results(job)


def _results(job: BatchJob) -> None:
    table = _table(job.id, job)
    failed = table["Error"].notna()
    classified = table[~failed].drop(columns="Error")
    counts = classified["Confidence level"].value_counts()
    metrics = {f"{level} confidence": int(counts.get(level, 0)) for level in _LEVELS}
    metrics["Failed"] = int(failed.sum())
    for column, (name, count) in zip(st.columns(4), metrics.items(), strict=True):
        column.metric(name, f"{count:,}")
    if not classified.empty:
        shown = _filtered(classified)
        st.markdown(f"**{plural(len(shown), 'patent', 'patents')}**")
        st.dataframe(
            shown[_shown_columns(job, shown)].assign(
                Confidence=(100 * shown["Confidence"]).round()
            ),
            hide_index=True,
            column_config=_COLUMN_FORMATS,
            key="results",
        )
    left, right = st.columns([3, 2], gap="large")
    with left:
        if not classified.empty:
            _chart(shown, job.titles)
    with right:
        _downloads(job, table)
    if failed.any():
        st.subheader(f"{plural(int(failed.sum()), 'row', 'rows')} failed", anchor=False)
        st.dataframe(table.loc[failed, ["Patent", "Error"]], hide_index=True)


@st.cache_data(max_entries=4, show_spinner=False)
def _table(job_id: str, _job: BatchJob) -> pd.DataFrame:
    """The results of a finished job; cached, as each change of a filter redraws the page."""
    return results_table(_job.results, _job.own)


def _shown_columns(job: BatchJob, table: pd.DataFrame) -> list[str]:
    """Number, the title of the file, answer; the downloads have all columns."""
    title = free_name(job.title_column, RESULT_COLUMNS) if job.title_column else ""
    first, *others = _SHOWN_COLUMNS
    return [first, *([title] if title in table.columns else []), *others]


def _filtered(classified: pd.DataFrame) -> pd.DataFrame:
    left, middle, right = st.columns(3)
    columns = (classified[name].dropna() for name in _CODE_COLUMNS)
    options = sorted({str(code) for column in columns for code in column})
    codes = left.multiselect("Codes", options, placeholder="All codes")
    low, high = middle.slider("Confidence (%)", 0, 100, (0, 100))
    levels = right.multiselect("Confidence level", _LEVELS, placeholder="All levels")
    keep = classified["Confidence"].between(low / 100, high / 100)
    if codes:
        keep &= classified[_CODE_COLUMNS].isin(codes).any(axis=1)
    if levels:
        keep &= classified["Confidence level"].isin(levels)
    return classified[keep]


def _chart(shown: pd.DataFrame, titles: Mapping[str, str]) -> None:
    if shown.empty:
        return
    st.subheader("Code distribution", anchor=False)
    columns = [name for name in _CODE_COLUMNS if shown[name].notna().any()]
    column = st.segmented_control(
        "Level", columns, default=columns[-1] if len(columns) == 1 else columns[1], required=True
    )
    codes = shown[str(column)].dropna()
    counts = "; ".join(f"{code}: {count}" for code, count in codes.value_counts().items())
    st.altair_chart(code_counts(list(codes), titles), alt=counts)


def _downloads(job: BatchJob, table: pd.DataFrame) -> None:
    st.subheader("Download results", anchor=False)
    stem = job.name.rpartition(".")[0] or job.name
    with st.container(horizontal=True):
        for name, (write, suffix, media_type) in _DOWNLOADS.items():
            st.download_button(
                name,
                partial(write, table),
                file_name=f"{stem}-results.{suffix}",
                mime=media_type,
                icon=":material/download:",
                on_click="ignore",
                key=f"download-{suffix}",
            )
