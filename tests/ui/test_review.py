"""The review page, without a browser."""

from collections.abc import Iterator
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from fake_service import FakeApi, WithKey, case_of
from patclass.learning.review_queue import REASONS
from patclass.ui import session
from patclass.ui.client import PageError
from patclass.ui.views import review

CODE = "from patclass.ui.views import review\nreview.page()"


@pytest.fixture(autouse=True)
def nothing_cached() -> Iterator[None]:
    st.cache_resource.clear()
    st.cache_data.clear()
    yield
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    fake = FakeApi(cases=[case_of(1), case_of(2)])
    monkeypatch.setattr(session, "Api", lambda address, key: WithKey(fake, key))
    return fake


@pytest.fixture
def app(api: FakeApi) -> AppTest:
    """The page of a reviewer who has entered a name."""
    app = AppTest.from_string(CODE, default_timeout=120).run()
    field(app.text_input, "Your name").input(" Ada ")
    return click(app, "Start")


def field(found: Any, label: str) -> Any:
    return next(element for element in found if element.label == label)


def click(app: AppTest, label: str) -> AppTest:
    return field(app.button, label).click().run()


def words(app: AppTest) -> str:
    """All text on the page."""
    kinds = (app.title, app.header, app.markdown, app.caption, app.warning, app.error)
    kinds = (*kinds, app.success, app.info)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def text_of(app: AppTest) -> str:
    """The patent's text, as HTML."""
    return "".join(element.proto.body for element in app.get("html"))


def test_without_a_name_nothing_is_shown(api: FakeApi):
    app = AppTest.from_string(CODE, default_timeout=120).run()
    click(app, "Start")
    assert not app.exception
    assert [found.label for found in app.button] == ["Start"]


def test_the_queue_is_counted_by_reason(app: AppTest):
    shown = words(app)
    assert "**2 cases to review:**" in shown
    assert "- 2: low confidence" in shown
    assert "sample" not in shown
    assert "Reviewer: Ada" in shown


def test_every_reason_has_a_name():
    assert review._REASONS.keys() == REASONS.keys()


def test_a_case_is_shown_with_previous_feedback(app: AppTest, api: FakeApi):
    given = {"answer": "E21B", "label": "B23B", "correct": False, "note": "![x](http://x)"}
    nothing = {"label": None, "note": None, "reviewer": None}
    api.cases[0]["feedback"] = [given | {"reviewer": "Bob"}, given | nothing | {"correct": True}]
    click(app, "Next case")
    assert not app.exception
    shown = words(app)
    assert "The confidence is low." in shown
    assert app.header[0].value == "E21B  Earth drilling"
    assert "↳ **E21** Earth drilling; mining (60 %)" in shown
    assert "A drill bit &lt;b&gt;number&lt;/b&gt; 1." in text_of(app)
    table = app.dataframe[0].value
    assert list(table["Reviewer"]) == ["Bob", "anonymous"]
    assert list(table["Feedback"]) == [
        "E21B is incorrect; correct code: B23B",
        "E21B is correct",
    ]
    assert "Assigned to you for another" in shown


def test_a_decision_can_be_undone(app: AppTest, api: FakeApi):
    click(click(app, "Next case"), "Correct")
    (decided,) = api.decisions
    assert (decided["reviewer"], decided["correct"], decided["label"]) == ("Ada", True, None)
    assert "Feedback recorded: E21B is correct." in app.success[0].value
    assert "**1 case to review:**" in words(app)
    click(app, "Undo last decision")
    assert not app.exception
    assert api.decisions == []
    assert "1." in text_of(app)
    assert not app.success
    click(app, "Correct")
    assert api.decisions[0]["key"] != decided["key"]  # otherwise it would count as a repetition


def test_a_correction_has_code_and_note(app: AppTest, api: FakeApi):
    click(app, "Next case")
    field(app.toggle, "Incorrect").set_value(True).run()
    field(app.selectbox, "Correct code").select("B23B · Turning; boring")
    field(app.text_input, "Note (optional)").input("it bores")
    click(app, "Submit")
    (decided,) = api.decisions
    assert (decided["correct"], decided["label"], decided["note"]) == (False, "B23B", "it bores")
    assert "Feedback recorded: E21B is incorrect; the correct code is B23B." in app.success[0].value


def test_the_next_case_starts_empty_and_the_last_can_be_undone(app: AppTest, api: FakeApi):
    click(app, "Next case")
    field(app.toggle, "Incorrect").set_value(True).run()
    click(click(app, "Submit"), "Next case")
    assert not field(app.toggle, "Incorrect").value
    assert "2." in text_of(app)
    click(app, "Undo last decision")
    assert "1." in text_of(app)


def test_a_skipped_case_returns_to_the_queue(app: AppTest, api: FakeApi):
    click(click(app, "Next case"), "Skip")
    assert [case["prediction_id"][-1] for case in api.cases] == ["2", "1"]
    assert api.decisions == []
    assert field(app.button, "Next case")


def test_an_empty_queue_is_shown(app: AppTest, api: FakeApi):
    api.cases, api.without_text = [], 3
    app.run()
    shown = words(app)
    assert "There are no cases to review." in shown
    assert "3 more predictions cannot be reviewed" in shown
    assert "`patclass serve --keep-texts`" in shown
    click(app, "Next case")
    assert "There is no case for you at the moment." in app.warning[0].value


def test_a_case_that_is_no_longer_assigned_is_closed(app: AppTest, api: FakeApi):
    click(app, "Next case")
    api.errors = [PageError("not_claimed", "This case is no longer assigned to you.")]
    click(app, "Correct")
    assert "no longer assigned to you" in app.warning[0].value
    assert field(app.button, "Next case")


def test_a_decision_that_was_not_stored_can_be_sent_again(app: AppTest, api: FakeApi):
    click(app, "Next case")
    api.errors = [PageError("busy", "The database of the service is unavailable.", 1.0)]
    click(app, "Correct")
    assert "Nothing was saved. Try again" in app.warning[0].value
    click(app, "Correct")
    assert len(api.decisions) == 1


def test_another_reviewer_enters_a_name(app: AppTest):
    click(app, "Next case")
    click(app, "Change reviewer")
    assert [found.label for found in app.button] == ["Start"]
