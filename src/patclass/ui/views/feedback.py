"""What a person says of an answer, sent once."""

from collections.abc import Mapping

import streamlit as st

from patclass.ui.client import Label, Model, Result, Trouble
from patclass.ui.session import api, labels, tell

_THANKS = (
    "Thank you. Your verdict is kept with this answer. Verdicts are collected and looked through "
    "before a new model learns from them; today's answers do not change."
)
_REVIEWER = "reviewer"
_KEEP = "keep-text"


def ask_for_verdict(result: Result, model: Model) -> None:
    """Ask whether an answer is right; then say what happens next."""
    given = st.session_state.setdefault("verdicts", {})
    if result["prediction_id"] in given:
        st.success(f"{given[result['prediction_id']]} {_THANKS}", icon=":material/favorite:")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Is **{result['label']}** right?")
        if st.button("Right", icon=":material/thumb_up:"):
            _send(result, {"correct": True}, what_was_said(result["label"], True))
        wrong = st.toggle("Wrong", key=f"wrong-{result['prediction_id']}")
    st.checkbox(
        "Keep the patent's text with my verdict, so that a new model can learn from it",
        value=True,
        key=_KEEP,
    )
    if wrong:
        _ask_what_it_should_be(result, model)


def _ask_what_it_should_be(result: Result, model: Model) -> None:
    with st.form(f"verdict-{result['prediction_id']}"):
        code, note = label_and_note(model)
        reviewer = st.text_input("Your name (if you like)", max_chars=100, key=_REVIEWER)
        sent = st.form_submit_button("Send", type="primary", icon=":material/send:")
    if not sent:
        return
    said = what_was_said(result["label"], False, code)
    verdict = {"correct": False, "label": code, "note": note, "reviewer": reviewer}
    _send(result, verdict, said)


def label_and_note(model: Model) -> tuple[str | None, str]:
    """Ask within a form which code it should have been, and for a note."""
    label: Label | None = st.selectbox(
        "It should have been",
        labels(model),
        index=None,
        placeholder="Type a code or a word of its title; leave empty if you do not know",
    )
    note = st.text_input("Note (if you like)", max_chars=2000)
    return None if label is None else label.code, note


def what_was_said(answer: str, correct: bool, code: str | None = None) -> str:
    """A verdict in words.

    :param code: what it should have been, where that is known.
    """
    if correct:
        return f"You said: {answer} is right."
    return f"You said: {answer} is wrong{'' if code is None else f', it is {code}'}."


def _send(result: Result, verdict: Mapping[str, object], said: str) -> None:
    try:
        keep = bool(st.session_state.get(_KEEP))
        text = result["text"] if keep else None
        about = {"prediction_id": result["prediction_id"], "text": text, "keep_text": keep}
        api().feedback(about | dict(verdict))
    except Trouble as trouble:
        tell(trouble, again=False)
        return
    st.session_state["verdicts"][result["prediction_id"]] = said
    st.rerun()
