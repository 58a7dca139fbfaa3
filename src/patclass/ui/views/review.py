"""The review queue: cases are claimed one at a time, decided, skipped, and decisions undone."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from patclass.ui.client import Model, PageError, ReviewCase
from patclass.ui.formatting import duration, literal, plain, plural
from patclass.ui.session import api, errors_shown, models, show_error
from patclass.ui.views.prediction import correct_code_and_note, draw_code, feedback_message

_REVIEWER = "review-name"
_CASE = "review-case"
_LAST_DECISION = "review-last"
_MESSAGE = "review-message"  # shown when the page is redrawn

_REASONS = {
    "disputed": "conflicting feedback",
    "unsure": "low confidence",
    "neighbours": "similar patents have other codes",
    "drifted": "text differs from the evaluation data",
    "sample": "random sample for measuring accuracy",
}


def page() -> None:
    """Ask for the reviewer's name; then show their case, or the queue."""
    st.title("Review queue", anchor=False)
    reviewer = st.session_state.get(_REVIEWER)
    if not reviewer:
        with st.columns(2)[0]:
            _sign_in()
        return
    if message := st.session_state.pop(_MESSAGE, None):
        st.warning(literal(message), icon=":material/info:")
    with errors_shown():
        _last_decision(reviewer)
        case = st.session_state.get(_CASE)
        if case is None:
            with st.columns(2)[0]:
                _queue(reviewer)
        else:
            _draw(case, reviewer)
    st.caption(f"Reviewer: {literal(reviewer)}")
    st.button("Change reviewer", icon=":material/person:", on_click=_sign_out)


def _sign_in() -> None:
    st.markdown(
        "Predictions that need a review are assigned one at a time, each to one reviewer only."
    )
    with st.form("reviewer", border=False):
        name = st.text_input("Your name", max_chars=100).strip()
        if st.form_submit_button("Start", type="primary", icon=":material/login:") and name:
            st.session_state[_REVIEWER] = name
            st.rerun()


def _sign_out() -> None:
    for key in (_REVIEWER, _CASE, _LAST_DECISION):
        st.session_state.pop(key, None)


def _queue(reviewer: str) -> None:
    queue = api().review_queue()
    total = sum(queue.counts.values())
    if total:
        st.markdown(f"**{plural(total, 'case', 'cases')} to review:**")
        lines = [f"- {count:,}: {_REASONS[why]}" for why, count in queue.counts.items() if count]
        st.markdown("\n".join(lines))
    else:
        st.info("There are no cases to review.", icon=":material/done_all:")
    if queue.without_text:
        st.info(
            f"{plural(queue.without_text, 'more prediction', 'more predictions')} cannot be "
            "reviewed, as no text was stored. The operator of the service can store texts with "
            "`patclass serve --keep-texts`.",
            icon=":material/visibility_off:",
        )
    # Also with an empty queue: it does not count a case that is assigned to the reviewer.
    if st.button("Next case", type="primary", icon=":material/arrow_forward:", width="stretch"):
        _do(lambda: _claim(reviewer))


def _claim(reviewer: str) -> None:
    case = api().claim(reviewer)
    if case is None:
        st.session_state[_MESSAGE] = (
            "There is no case for you at the moment. All others are assigned to other reviewers."
        )
    else:
        st.session_state[_CASE] = case | {"key": secrets.token_hex(16)}


def _draw(case: ReviewCase, reviewer: str) -> None:
    st.info(literal(case["reason_text"]), icon=":material/info:")
    left, right = st.columns(2, gap="large")
    with left.container(border=True):
        st.html(plain(case["text"]))
    with right:
        _decision(case, reviewer)


def _decision(case: ReviewCase, reviewer: str) -> None:
    draw_code(case, case["levels"])
    if case["feedback"]:
        st.markdown("Previous feedback:")
        st.dataframe(pd.DataFrame(map(_feedback_row, case["feedback"])), hide_index=True)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Is **{literal(case['label'])}** correct?")
        if st.button("Correct", icon=":material/thumb_up:"):
            _do(lambda: _decide(case, reviewer, correct=True))
        incorrect = st.toggle("Incorrect", key=f"incorrect-{case['key']}")
        if st.button("Skip", icon=":material/skip_next:"):
            _do(lambda: _skip(case, reviewer))
    if incorrect:
        _correction_form(case, reviewer)
    left = (datetime.fromisoformat(case["claimed_until"]) - datetime.now(UTC)).total_seconds()
    st.caption(f"Assigned to you for another {duration(left)}.")


def _feedback_row(feedback: ReviewCase) -> dict[str, str]:
    """Feedback as a row of a table, which does not interpret what reviewers wrote as markup."""
    state = "correct" if feedback["correct"] else "incorrect"
    code = f"; correct code: {feedback['label']}" if feedback["label"] else ""
    return {
        "Reviewer": feedback["reviewer"] or "anonymous",
        "Feedback": f"{feedback['answer']} is {state}{code}",
        "Note": feedback["note"] or "",
    }


def _correction_form(case: ReviewCase, reviewer: str) -> None:
    with st.form(f"decision-{case['key']}"):
        code, note = correct_code_and_note(_model_of(case))
        submitted = st.form_submit_button("Submit", type="primary", icon=":material/send:")
    if submitted:
        _do(lambda: _decide(case, reviewer, correct=False, code=code, note=note))


def _model_of(case: ReviewCase) -> Model:
    """The model of the prediction, or the default if it is no longer loaded."""
    loaded = models()
    return next((model for model in loaded if model.name == case["model"]), loaded[0])


def _decide(
    case: ReviewCase, reviewer: str, correct: bool, code: str | None = None, note: str = ""
) -> None:
    feedback = {"reviewer": reviewer, "correct": correct, "label": code, "note": note}
    api().decide(case["prediction_id"], case["key"], feedback)
    del st.session_state[_CASE]
    message = feedback_message(case["label"], correct, code)
    st.session_state[_LAST_DECISION] = {
        "prediction_id": case["prediction_id"],
        "message": message,
    }


def _skip(case: ReviewCase, reviewer: str) -> None:
    api().release(case["prediction_id"], reviewer)
    del st.session_state[_CASE]


def _last_decision(reviewer: str) -> None:
    last = st.session_state.get(_LAST_DECISION)
    if last is None:
        return
    st.success(literal(last["message"]), icon=":material/check:")
    if st.button("Undo last decision", icon=":material/undo:"):
        _do(lambda: _undo(last["prediction_id"], reviewer))


def _undo(prediction_id: str, reviewer: str) -> None:
    api().undo(prediction_id, reviewer)
    del st.session_state[_LAST_DECISION]
    st.session_state.pop(_CASE, None)  # remains assigned to the reviewer and comes next
    _claim(reviewer)


def _do(request: Callable[[], None]) -> None:
    """Send a request, then redraw the page."""
    try:
        request()
    except PageError as error:
        if error.kind != "not_claimed":
            show_error(error, repeated=False)
            return
        st.session_state[_MESSAGE] = error.message
        st.session_state.pop(_CASE, None)
    st.rerun()
