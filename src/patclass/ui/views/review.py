"""Answers that wait for a person: taken one by one, judged, and taken back."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from patclass.ui.client import Case, Model, Trouble
from patclass.ui.session import api, models, tell, told_in_words
from patclass.ui.views.answer import draw_code
from patclass.ui.views.feedback import label_and_note, what_was_said
from patclass.ui.wording import plain, plural, time_left

_NAME = "review-name"
_CASE = "review-case"
_LAST = "review-last"  # the last decision, which can be taken back
_TOLD = "review-told"  # what is to be said when the page is drawn anew

_WHY = {
    "disputed": "people disagree about them",
    "unsure": "the model is not sure",
    "neighbours": "hardly any near patent has the same code",
    "drifted": "their texts are unlike those that the model was tested on",
    "sample": "drawn by chance, to see how often answers are right",
}


def page() -> None:
    """Ask who reviews; then show their case, or what waits."""
    st.title("Which answers need a person?", anchor=False)
    reviewer = st.session_state.get(_NAME)
    if not reviewer:
        _ask_name()
        return
    if told := st.session_state.pop(_TOLD, None):
        st.warning(told, icon=":material/info:")
    with told_in_words():
        _offer_undo(reviewer)
        case = st.session_state.get(_CASE)
        if case is None:
            _waiting(reviewer)
        else:
            _draw(case, reviewer)
    st.caption(f"You review as {reviewer}.")
    st.button("Somebody else", icon=":material/person:", on_click=_forget)


def _ask_name() -> None:
    st.markdown("Answers that a person should look at come one by one; nobody else gets yours.")
    with st.form("reviewer", border=False):
        name = st.text_input("Your name", max_chars=100).strip()
        if st.form_submit_button("Start", type="primary", icon=":material/login:") and name:
            st.session_state[_NAME] = name
            st.rerun()


def _forget() -> None:
    for key in (_NAME, _CASE, _LAST):
        st.session_state.pop(key, None)


def _waiting(reviewer: str) -> None:
    found = api().waiting()
    total = sum(found.reasons.values())
    if total:
        st.markdown(f"**{plural(total, 'case waits', 'cases wait')}:**")
        lines = [f"- {count:,}: {_WHY[why]}" for why, count in found.reasons.items() if count]
        st.markdown("\n".join(lines))
    else:
        st.info("No answer waits for a person.", icon=":material/done_all:")
    if found.without_text:
        st.info(
            f"{plural(found.without_text, 'answer', 'answers')} more cannot be shown, as no texts "
            "were kept. Whoever runs the service can keep them: `patclass serve --keep-texts`.",
            icon=":material/visibility_off:",
        )
    # Also where nothing waits: a case that is in one's hands is not among those that wait.
    if st.button("Next case", type="primary", icon=":material/arrow_forward:", width="stretch"):
        _do(lambda: _take(reviewer))


def _take(reviewer: str) -> None:
    case = api().claim(reviewer)
    if case is None:
        st.session_state[_TOLD] = "There is no case for you just now. Others may have the last."
    else:
        st.session_state[_CASE] = case | {"key": secrets.token_hex(16)}


def _draw(case: Case, reviewer: str) -> None:
    st.info(case["why"], icon=":material/live_help:")
    with st.container(border=True):
        st.html(plain(case["text"]))
    draw_code(case, case["levels"])
    if case["feedback"]:
        st.markdown("What people said of it:")
        st.dataframe(pd.DataFrame(map(_said, case["feedback"])), hide_index=True)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Is **{case['label']}** right?")
        if st.button("Right", icon=":material/thumb_up:"):
            _do(lambda: _decide(case, reviewer, correct=True))
        wrong = st.toggle("Wrong", key=f"wrong-{case['key']}")
        if st.button("Skip", icon=":material/skip_next:"):
            _do(lambda: _skip(case, reviewer))
    if wrong:
        _ask_what_it_should_be(case, reviewer)
    left = (datetime.fromisoformat(case["until"]) - datetime.now(UTC)).total_seconds()
    st.caption(f"Nobody else gets this case for {time_left(left)}.")


def _said(verdict: Case) -> dict[str, str]:
    """A row of a table, in which nothing that somebody wrote is taken for markup."""
    found = "is right" if verdict["correct"] else "is wrong"
    code = f", it is {verdict['label']}" if verdict["label"] else ""
    return {
        "Who": verdict["reviewer"] or "somebody",
        "Said": f"{verdict['answer']} {found}{code}",
        "Note": verdict["note"] or "",
    }


def _ask_what_it_should_be(case: Case, reviewer: str) -> None:
    with st.form(f"decision-{case['key']}"):
        code, note = label_and_note(_model_of(case))
        sent = st.form_submit_button("Send", type="primary", icon=":material/send:")
    if sent:
        _do(lambda: _decide(case, reviewer, correct=False, code=code, note=note))


def _model_of(case: Case) -> Model:
    """The model that answered, or the default if it is no longer loaded."""
    loaded = models()
    return next((model for model in loaded if model.name == case["model"]), loaded[0])


def _decide(
    case: Case, reviewer: str, correct: bool, code: str | None = None, note: str = ""
) -> None:
    verdict = {"reviewer": reviewer, "correct": correct, "label": code, "note": note}
    api().decide(case["prediction_id"], case["key"], verdict)
    del st.session_state[_CASE]
    said = what_was_said(case["label"], correct, code)
    st.session_state[_LAST] = {"prediction_id": case["prediction_id"], "said": said}


def _skip(case: Case, reviewer: str) -> None:
    api().release(case["prediction_id"], reviewer)
    del st.session_state[_CASE]


def _offer_undo(reviewer: str) -> None:
    last = st.session_state.get(_LAST)
    if last is None:
        return
    st.success(last["said"], icon=":material/check:")
    if st.button("Undo last decision", icon=":material/undo:"):
        _do(lambda: _undo(last["prediction_id"], reviewer))


def _undo(prediction_id: str, reviewer: str) -> None:
    api().undo(prediction_id, reviewer)
    del st.session_state[_LAST]
    st.session_state.pop(_CASE, None)  # still in the reviewer's hands; it comes next
    _take(reviewer)


def _do(work: Callable[[], None]) -> None:
    """Do something with the service, then draw what it has come to."""
    try:
        work()
    except Trouble as trouble:
        if trouble.kind != "taken":
            tell(trouble, again=False)
            return
        st.session_state[_TOLD] = trouble.sentence
        st.session_state.pop(_CASE, None)
    st.rerun()
