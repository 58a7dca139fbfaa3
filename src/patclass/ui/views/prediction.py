"""The prediction for one patent: code, confidence, alternatives, evidence, and feedback on it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pandas as pd
import streamlit as st
from streamlit.typing import VegaLiteState

from patclass.cpc.levels import code_path
from patclass.ui.charts import MAX_BARS, SELECTED_CODE, alternatives
from patclass.ui.client import COVERAGE, Label, Model, PageError, Result, as_sentence
from patclass.ui.formatting import (
    HIGH,
    LOW,
    MEDIUM,
    confidence_level,
    highlighted,
    level_name,
    literal,
    percent,
    plural,
    read_share_text,
)
from patclass.ui.session import api, labels, show_error
from patclass.ui.views.codes import draw_codes

_Colour = Literal["green", "blue", "orange"]
_BADGES: dict[str, tuple[_Colour, str]] = {
    HIGH: ("green", ":material/check_circle:"),
    MEDIUM: ("blue", ":material/help:"),
    LOW: ("orange", ":material/warning:"),
}
_MAX_SHORTLIST = 12
# The warning that the caption of the headline repeats.
_PARTLY_READ = "partly_read"

_FEEDBACK = "feedback"  # messages by prediction, so that feedback is given once
_REVIEWER = "reviewer"
_KEEP_TEXT = "keep_text"
_NEXT_STEPS = (
    "Thank you. Feedback is reviewed before a new model is trained on it; "
    "this prediction does not change."
)


def draw_answer(result: Result, model: Model) -> None:
    """The code of one patent, what limits it, the shortlist, and feedback."""
    _headline(result, model)
    _warnings(result)
    _shortlist(result)
    _feedback_form(result, model)


def draw_details(result: Result, model: Model) -> None:
    """What else the result has, in two columns: passages and patents left, codes right."""
    left, right = st.columns(2, gap="large")
    with left:
        if model.explains and result["text"] is None:
            st.info("The service is too busy at the moment to explain this prediction.")
        _passages(result)
    with right:
        draw_codes(result.get("codes") or (), result["prediction_id"])
        _alternatives(result, model)
    with left:
        _similar_patents(result)
    st.caption(f"Model: {literal(model.name)}, version {literal(model.version)}.")


def draw_code(prediction: Mapping[str, Any], path: Sequence[Mapping[str, Any]]) -> None:
    """A code with its title and confidence, and the codes above it.

    :param path: code, title and confidence of each level, coarsest first.
    """
    level = confidence_level(prediction["confidence"], prediction["sure"])
    colour, icon = _BADGES[level]
    text = f"{level} confidence{', review recommended' if level == LOW else ''}"
    st.header(f"{literal(prediction['label'])}  {literal(prediction['name'])}", anchor=False)
    st.badge(f"{text} · {percent(prediction['confidence'])}", color=colour, icon=icon)
    if len(path) > 1:
        lines = (
            f"{'↳ ' if depth else ''}**{literal(step['label'])}** {literal(step['name'])} "
            f"({percent(step['confidence'])})"
            for depth, step in enumerate(path)
        )
        st.markdown("  \n".join(lines))


def _headline(result: Result, model: Model) -> None:
    draw_code(result, result["path"])
    finer = model.levels[model.levels.index(result["level"]) + 1 :]
    omitted = (
        f"The confidence is too low to assign a {level_name(finer[0]).lower()}. " if finer else ""
    )
    st.caption(f"{omitted}{read_share_text(result['read_share'])}")


def _warnings(result: Result) -> None:
    messages = [w["message"] for w in result["warnings"] if w["code"] != _PARTLY_READ]
    if messages:
        lines = "\n".join(f"- {literal(as_sentence(message))}" for message in messages)
        st.warning(f"**Warnings**\n{lines}", icon=":material/warning:")


def _alternatives(result: Result, model: Model) -> None:
    st.subheader("Alternative codes", anchor=False)
    by_level = result["alternatives"]
    parent = st.session_state.get(_parent_key(result))
    if parent is None:
        level = st.segmented_control(
            "Level",
            list(model.levels),
            default=result["level"],
            required=True,
            format_func=level_name,
            key=f"level-{result['prediction_id']}",
        )
        shown = by_level[level]
    else:
        level, shown = _children(parent, model, by_level)
        st.button(
            "Back to all codes",
            icon=":material/arrow_back:",
            on_click=st.session_state.pop,
            args=(_parent_key(result), None),
        )
    if not shown:
        st.info(f"No code below {literal(str(parent))} has a notable probability.")
        return
    path = {step["label"] for step in result["path"]}
    predicted = next((entry["label"] for entry in shown if entry["label"] in path), "")
    state = st.altair_chart(
        alternatives(shown[:MAX_BARS], predicted),
        on_select="rerun",
        selection_mode=SELECTED_CODE,
        key=f"bars-{result['prediction_id']}-{level}-{parent}",
        alt=_alt_text(shown[:MAX_BARS]),
    )
    if level != model.levels[-1]:
        _select_parent(result, state, [entry["label"] for entry in shown[:MAX_BARS]])


def _select_parent(result: Result, state: VegaLiteState, codes: Sequence[str]) -> None:
    """Show the codes below the bar that was clicked, or below the code selected in a list."""
    selected = st.selectbox(
        "Show the codes below (or click a bar)",
        codes,
        index=None,
        placeholder="Select a code",
        key=f"parent-{result['prediction_id']}-{codes[0]}-{len(codes)}",
    )
    clicked = [point["code"] for point in state["selection"].get(SELECTED_CODE, [])]
    code = clicked[0] if clicked else selected
    if code:
        st.session_state[_parent_key(result)] = code
        st.rerun()


def _children(
    parent: str, model: Model, by_level: Mapping[str, list[dict[str, Any]]]
) -> tuple[str, list[dict[str, Any]]]:
    """The next level, and its codes below ``parent``."""
    level = next(n for n in model.levels if any(e["label"] == parent for e in by_level[n]))
    below = model.levels[model.levels.index(level) + 1]
    return below, [e for e in by_level[below] if parent in code_path(e["label"])]


def _parent_key(result: Result) -> str:
    return f"parent-{result['prediction_id']}"


def _shortlist(result: Result) -> None:
    label_set = result["label_set"]
    if not label_set:
        return
    st.subheader(f"Shortlist ({percent(COVERAGE)} coverage)", anchor=False)
    codes = ", ".join(f"**{literal(entry['label'])}**" for entry in label_set[:_MAX_SHORTLIST])
    if len(label_set) > _MAX_SHORTLIST:
        codes += f" and {len(label_set) - _MAX_SHORTLIST} more"
    st.markdown(f"{plural(len(label_set), 'code', 'codes')}: {codes}")
    st.caption(f"For {percent(COVERAGE)} of patents, the shortlist contains the correct code.")


def _passages(result: Result) -> None:
    if not result["text"] or not result["passages"]:
        return
    st.subheader("Most influential passages", anchor=False)
    found = any(passage["contribution"] > 0 for passage in result["passages"])
    st.caption(
        "The stronger the highlight, the more a passage contributes to the predicted code."
        if found
        else "No single passage contributes notably; the code follows from the text as a whole."
    )
    st.html(highlighted(result["text"], result["passages"]))


def _similar_patents(result: Result) -> None:
    if not result["neighbours"]:
        return
    st.subheader("Similar patents", anchor=False)
    table = pd.DataFrame(
        {
            "Patent": [neighbour["id"] for neighbour in result["neighbours"]],
            "Title": [neighbour["title"] or "" for neighbour in result["neighbours"]],
            "Codes": [" › ".join(neighbour["codes"]) for neighbour in result["neighbours"]],
            "Similarity": [percent(neighbour["similarity"]) for neighbour in result["neighbours"]],
        }
    )
    if not table["Title"].any():  # the index of the shipped model has no titles
        table = table.drop(columns="Title")
    st.dataframe(table, hide_index=True)


def _alt_text(shown: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(
        f"{entry['label']} {entry['name']}: {percent(entry['confidence'])}" for entry in shown
    )


def _feedback_form(result: Result, model: Model) -> None:
    given = st.session_state.setdefault(_FEEDBACK, {})
    if result["prediction_id"] in given:
        message = literal(given[result["prediction_id"]])
        st.success(f"{message} {_NEXT_STEPS}", icon=":material/check:")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Is **{literal(result['label'])}** correct?")
        if st.button("Correct", icon=":material/thumb_up:"):
            _send(result, {"correct": True}, feedback_message(result["label"], True))
        incorrect = st.toggle("Incorrect", key=f"incorrect-{result['prediction_id']}")
    st.checkbox(
        "Store the text of the patent with my feedback for training new models",
        value=True,
        key=_KEEP_TEXT,
    )
    if incorrect:
        _correction_form(result, model)


def _correction_form(result: Result, model: Model) -> None:
    with st.form(f"feedback-{result['prediction_id']}"):
        code, note = correct_code_and_note(model)
        reviewer = st.text_input("Your name (optional)", max_chars=100, key=_REVIEWER)
        submitted = st.form_submit_button("Submit", type="primary", icon=":material/send:")
    if submitted:
        feedback = {"correct": False, "label": code, "note": note, "reviewer": reviewer}
        _send(result, feedback, feedback_message(result["label"], False, code))


def correct_code_and_note(model: Model) -> tuple[str | None, str]:
    """Inputs of a form: the correct code, None if not selected, and a note."""
    label: Label | str | None = st.selectbox(
        "Correct code",
        labels(model),
        index=None,
        placeholder="Enter a code or a word of its title; leave empty if unknown",
        accept_new_options=True,
        help="Any code of the CPC, also a group that the model does not know, such as A61K31/00.",
    )
    note = st.text_input("Note (optional)", max_chars=2000)
    return label.code if isinstance(label, Label) else label, note


def feedback_message(predicted: str, correct: bool, code: str | None = None) -> str:
    """Feedback as a sentence.

    :param code: the correct code, if it was given.
    """
    if correct:
        return f"Feedback recorded: {predicted} is correct."
    correction = "" if code is None else f"; the correct code is {code}"
    return f"Feedback recorded: {predicted} is incorrect{correction}."


def _send(result: Result, feedback: Mapping[str, object], message: str) -> None:
    try:
        keep = bool(st.session_state.get(_KEEP_TEXT))
        text = result["text"] if keep else None
        about = {"prediction_id": result["prediction_id"], "text": text, "keep_text": keep}
        api().feedback(about | dict(feedback))
    except PageError as error:
        show_error(error, repeated=False)
        return
    st.session_state[_FEEDBACK][result["prediction_id"]] = message
    st.rerun()
