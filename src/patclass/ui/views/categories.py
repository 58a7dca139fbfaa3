"""A visitor's own categories: entered, learnt with cross-validated figures, used and downloaded."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from patclass.evaluation.charts import confusion_cells, confusion_matrix
from patclass.ui.categories import (
    MAX_DESCRIPTION,
    CategoryModel,
    Taxonomy,
    examples_of,
    label_column,
    split_examples,
    start,
    with_texts,
)
from patclass.ui.charts import MAX_BARS, alternatives
from patclass.ui.client import PageError, as_sentence
from patclass.ui.files import TABLE_SUFFIXES, UploadedTable, read_table
from patclass.ui.fitting import BUNDLE, NONE
from patclass.ui.formatting import literal, percent, plural
from patclass.ui.session import accepts_numbers, api, models, selected_model, show_error

_MODEL = "categories"
_RESULT = "categories-result"  # the last text's probabilities and warnings
_KEPT = "categories-entered"  # what Streamlit would drop when another page is shown
_TYPED, _TABLE = "Text", "Table"
_COUNT = "Number of categories"
_MAX_NAME, _MAX_TYPED = 200, 20
_HEIGHT = 430  # pixels
_NO_COLUMN = "(none)"
_NONE_TITLE = "None of these"
_TEXT_ROLES = {"text": "Full text", "title": "Title", "abstract": "Abstract", "id": "Number"}

_METHODS = {
    "names": "similarity to the names and descriptions",
    "embeddings": "logistic regression on embeddings",
    "combined": "logistic regression on embeddings, with the names and descriptions",
    "lora": "fine-tuning with LoRA",
}


def page() -> None:
    """Ask for categories and examples; show what was learnt of them beside."""
    st.title("My categories", anchor=False)
    st.markdown(
        "Name your categories and give each 5 to 15 examples. The page learns them in about a "
        "minute, states how well they are recognised, and classifies texts with them."
    )
    left, right = st.columns(2, gap="large")
    with left:
        source = st.segmented_control("Input", [_TYPED, _TABLE], default=_TYPED, required=True)
        try:
            taxonomy = _typed() if source == _TYPED else _uploaded()
            if taxonomy is not None and _submitted():
                _start(taxonomy)
        except PageError as error:
            show_error(error, repeated=False)
    with right:
        _draw(st.session_state.get(_MODEL))


def _submitted() -> bool:
    return st.button(
        "Learn the categories", type="primary", icon=":material/school:", width="stretch"
    )


def _start(taxonomy: Taxonomy) -> None:
    taxonomy.check()
    before: CategoryModel | None = st.session_state.get(_MODEL)
    if before is not None and before.running:
        raise PageError("busy", "Your categories are still being learnt. Wait for their figures.")
    with st.spinner("Reading the examples…"):
        texts = [text for text, _ in taxonomy.examples]
        by_number = accepts_numbers()
        name = selected_model(models()).name if by_number else ""
        texts = with_texts(texts, api(), name, by_number)
    examples = tuple(
        (text, label) for text, (_, label) in zip(texts, taxonomy.examples, strict=True)
    )
    model = start(Taxonomy(taxonomy.categories, examples, taxonomy.descriptions, taxonomy.groups))
    if before is not None:
        before.remove()
    st.session_state.pop(_RESULT, None)
    st.session_state[_MODEL] = model


def _typed() -> Taxonomy:
    kept: dict[str, Any] = st.session_state.setdefault(_KEPT, {})
    before = kept.get(_COUNT, 2)
    count = kept[_COUNT] = int(st.number_input(_COUNT, 1, _MAX_TYPED, before, key=_COUNT))
    names, examples, descriptions = [], [], {}
    # Of a fixed height, so that the button and what it leads to stay in sight.
    with st.container(height=_HEIGHT):
        for number in range(1, count + 1):
            name, description, found = _category(number)
            names.append(name)
            examples += [(text, name) for text in found]
            if description:
                descriptions[name] = description
        st.markdown(f"**{_NONE_TITLE}**: patents that belong to no category")
        found = _entered_examples("Negative examples" + (" (optional)" if count > 1 else ""))
    examples += [(text, NONE) for text in found]
    return Taxonomy(tuple(names), tuple(examples), descriptions)


def _category(number: int) -> tuple[str, str, list[str]]:
    """Name, description and examples of one category."""
    name = _entered(st.text_input, f"Name of category {number}", max_chars=_MAX_NAME).strip()
    label = f"Description of category {number} (optional)"
    description = _entered(st.text_input, label, max_chars=MAX_DESCRIPTION).strip()
    found = _entered_examples(f"Examples of category {number}")
    st.divider()
    return name or f"Category {number}", description, found


def _entered(field: Any, label: str, **options: Any) -> str:
    """The text of a field, which is kept while other pages are shown."""
    kept: dict[str, Any] = st.session_state[_KEPT]
    kept[label] = field(label, kept.get(label, ""), key=f"entered-{label}", **options) or ""
    return str(kept[label])


def _entered_examples(label: str) -> list[str]:
    text = _entered(
        st.text_area,
        label,
        height=130,
        placeholder="Titles, abstracts or both; an empty line between two examples.",
    )
    found = split_examples(text)
    if found:
        st.caption(plural(len(found), "example", "examples"))
    return found


def _uploaded() -> Taxonomy | None:
    upload = st.file_uploader(
        "Upload a table with a column for the category, and the texts or publication numbers",
        type=list(TABLE_SUFFIXES),
        key="categories-table",
        max_upload_size=10,
    )
    if upload is None:
        return None
    with st.spinner("Reading the file…"):
        table = _read(upload.name, upload.file_id, upload.getvalue())
    mapping, column = _columns(table, upload.file_id)
    if column is None:
        st.info("Select the column that contains the category.", icon=":material/info:")
        return None
    labels = sorted({label for _, label in examples_of(table, mapping, column, None)[0]})
    options = [_NO_COLUMN, *labels]
    guess = next((n for n, name in enumerate(options) if name.casefold() in _NEGATIVE), 0)
    negative = st.selectbox("Category of negative examples (none of these)", options, index=guess)
    examples, families = examples_of(table, mapping, column, negative)
    names = [label for label in labels if label != negative]
    descriptions = _descriptions(names, [label for _, label in examples], upload.file_id)
    groups = tuple(families) if any(families) else None
    return Taxonomy(tuple(names), tuple(examples), descriptions, groups)


_NEGATIVE = (NONE, _NONE_TITLE.casefold(), "other", "others", "negative", "rest")


@st.cache_data(max_entries=4, show_spinner=False)
def _read(name: str, file_id: str, _content: bytes) -> UploadedTable:
    return read_table(name, _content)


def _columns(table: UploadedTable, file_id: str) -> tuple[dict[str, str | None], str | None]:
    """The columns of texts and family, and that of the category."""
    options = [_NO_COLUMN, *table.columns]
    guess = label_column(table)
    column = st.selectbox(
        "Column of the category",
        options,
        index=options.index(guess) if guess else 0,
        key=f"category-{file_id}",
    )
    mapping: dict[str, str | None] = {"family": table.roles.get("family")}
    with st.expander("Columns of the text"):
        for role, title in _TEXT_ROLES.items():
            place = options.index(table.roles.get(role, _NO_COLUMN))
            chosen = st.selectbox(title, options, index=place, key=f"text-{role}-{file_id}")
            mapping[role] = None if chosen == _NO_COLUMN else chosen
    return mapping, None if column == _NO_COLUMN else column


def _descriptions(names: Sequence[str], labels: Sequence[str], file_id: str) -> dict[str, str]:
    """The descriptions that the visitor writes beside the categories of a table."""
    table = pd.DataFrame(
        {
            "Category": names,
            "Examples": [labels.count(name) for name in names],
            "Description": [""] * len(names),
        }
    )
    edited = st.data_editor(
        table,
        hide_index=True,
        disabled=["Category", "Examples"],
        column_config={
            "Description": st.column_config.TextColumn(
                "Description (optional)", max_chars=MAX_DESCRIPTION, width="large"
            )
        },
        key=f"descriptions-{file_id}",
    )
    written = zip(names, edited["Description"], strict=True)
    return {name: text.strip() for name, text in written if text and text.strip()}


def _draw(model: CategoryModel | None) -> None:
    if model is None:
        st.caption("How well the categories are recognised appears here.")
    elif model.running:
        _progress()
    elif model.error is not None:
        st.error(literal(model.error), icon=":material/error:")
    elif model.report is not None:
        _figures(model.report)
        if not model.kept:
            st.warning(
                "The model was removed to make room for those of other visitors. Learn the "
                "categories again to use it.",
                icon=":material/delete:",
            )
            return
        least = _one_versus_rest(model.report) if model.taxonomy.is_one_versus_rest else None
        _use(model, least)


@st.fragment(run_every=1.0)
def _progress() -> None:
    model: CategoryModel = st.session_state[_MODEL]
    if not model.running:
        st.rerun()
    st.progress(model.share, text=f"Learning the categories: {percent(model.share)}")
    st.caption("The examples are compared with each other several times (cross-validation).")


def _name(label: str) -> str:
    return _NONE_TITLE if label == NONE else label


def _figures(report: Mapping[str, Any]) -> None:
    for note in report["notes"]:
        st.warning(literal(as_sentence(note)), icon=":material/info:")
    if not report["figures"]:
        st.info("There are too few examples to measure accuracy.", icon=":material/info:")
        return
    chosen = report["figures"][0]
    interval = chosen["accuracy_interval"]
    st.metric("Accuracy by cross-validation", percent(chosen["accuracy"]))
    st.caption(
        f"95 % interval: {percent(interval['low'])} to {percent(interval['high'])}, on "
        f"{plural(sum(report['examples']), 'example', 'examples')}, each by a model that had not "
        f"seen it. Method: {_METHODS.get(chosen['method'], chosen['method'])}."
    )
    st.dataframe(_per_category(report), hide_index=True)
    labels = [_name(label) for label in report["labels"]]
    cells = confusion_cells(labels, report["confusion"])
    with st.expander("Confusion matrix", expanded=True):
        st.altair_chart(
            confusion_matrix(cells, "category"),
            alt="; ".join(f"{n} of {a} taken for {b}" for a, b, n in cells),
        )
    if len(report["figures"]) > 1:
        with st.expander("Methods compared"):
            st.dataframe(_methods(report["figures"]), hide_index=True)


def _per_category(report: Mapping[str, Any]) -> pd.DataFrame:
    rows = {row["code"]: row for row in report["per_class"]}
    found = [rows.get(label) for label in report["labels"]]
    return pd.DataFrame(
        {
            "Category": [_name(label) for label in report["labels"]],
            "Examples": report["examples"],
            "Precision": [percent(row["precision"]) if row else "–" for row in found],
            "Recall": [percent(row["recall"]) if row else "–" for row in found],
        }
    )


def _methods(figures: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Method": [_METHODS.get(row["method"], row["method"]) for row in figures],
            "Accuracy": [percent(row["accuracy"]) for row in figures],
            "95 % interval": [
                f"{percent(row['accuracy_interval']['low'])} – "
                f"{percent(row['accuracy_interval']['high'])}"
                for row in figures
            ],
            "Macro F1": [percent(row["macro_f1"]) for row in figures],
        }
    )


def _one_versus_rest(report: Mapping[str, Any]) -> float | None:
    """The probability from which on a text belongs to the one category; None without a curve."""
    label = next(label for label in report["labels"] if label != NONE)
    curve = report["curves"].get(label)
    if not curve:
        return None
    least = (
        st.slider(
            "Probability at least (%): left for recall, right for precision", 1, 99, 50, key="least"
        )
        / 100
    )
    point = at_probability(curve, least)
    if point is None:
        st.caption("No example reaches this probability: nothing would be found.")
    else:
        st.caption(
            f"Of the examples with such a probability, {percent(point['precision'])} belong to "
            f"{literal(label)} (precision); {percent(point['recall'])} of those that belong to it "
            "are among them (recall)."
        )
    return least


def at_probability(
    curve: Sequence[Mapping[str, float]], least: float
) -> Mapping[str, float] | None:
    """The point of a curve for a probability: that of the lowest threshold not below it.

    :param curve: with ``threshold``, ``precision`` and ``recall``.
    :return: None if no example is so probable.
    """
    above = [point for point in curve if point["threshold"] >= least]
    return min(above, key=lambda point: point["threshold"], default=None)


def _use(model: CategoryModel, least: float | None) -> None:
    st.subheader("Use the categories", anchor=False)
    with st.form("categories-use", border=False):
        text = st.text_area("Text of a patent", height=130, key="categories-text")
        submitted = st.form_submit_button("Classify", icon=":material/search:")
    if submitted:
        _classify(model, text)
    if _RESULT in st.session_state:
        _result(st.session_state[_RESULT], least)
    st.download_button(
        "Download the bundle",
        model.bundle,
        file_name=f"{BUNDLE}.zip",
        mime="application/zip",
        icon=":material/download:",
        on_click="ignore",
    )
    st.caption(
        f"Unpacked, it is an ordinary bundle: `patclass predict --model {BUNDLE}` or "
        f"`patclass serve --model {BUNDLE}`. The page keeps it only as long as this session."
    )


def _classify(model: CategoryModel, text: str) -> None:
    st.session_state.pop(_RESULT, None)
    if not text.strip():
        st.error("The text is empty. Paste the title and abstract.", icon=":material/error:")
        return
    try:
        with st.spinner("Classifying…"):
            st.session_state[_RESULT] = model.classify(text)
    except PageError as error:
        show_error(error, repeated=False)


def _result(found: Mapping[str, Any], least: float | None) -> None:
    best, probability = found["probabilities"][0]
    if least is not None:
        name, probability = next(pair for pair in found["probabilities"] if pair[0] != NONE)
        best = name if probability >= least else NONE
    if least is not None and best == NONE:
        text = f"**{_NONE_TITLE}**: {literal(name)} has a probability of {percent(probability)}."
    else:
        text = f"**{literal(_name(best))}** ({percent(probability)})"
    st.markdown(text)
    for warning in found["warnings"]:
        st.warning(literal(as_sentence(warning)), icon=":material/warning:")
    shown = [
        {"label": _name(label), "name": "", "confidence": confidence}
        for label, confidence in found["probabilities"][:MAX_BARS]
    ]
    st.altair_chart(
        alternatives(shown, _name(best)),
        alt="; ".join(f"{entry['label']}: {percent(entry['confidence'])}" for entry in shown),
    )
