"""The page of reviews, without a browser."""

from collections.abc import Iterator
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from fake_service import FakeApi, Keyed, case_of
from patclass.learning.review_queue import REASONS
from patclass.ui import session
from patclass.ui.client import Trouble
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
    monkeypatch.setattr(session, "Api", lambda address, key: Keyed(fake, key))
    return fake


@pytest.fixture
def app(api: FakeApi) -> AppTest:
    """The page of somebody who has said who they are."""
    app = AppTest.from_string(CODE, default_timeout=120).run()
    field(app.text_input, "Your name").input(" Ada ")
    return click(app, "Start")


def field(found: Any, label: str) -> Any:
    return next(element for element in found if element.label == label)


def click(app: AppTest, label: str) -> AppTest:
    return field(app.button, label).click().run()


def words(app: AppTest) -> str:
    """All that the page says."""
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


def test_what_waits_is_counted_in_words(app: AppTest):
    told = words(app)
    assert "**2 cases wait:**" in told
    assert "- 2: the model is not sure" in told
    assert "sample" not in told
    assert "You review as Ada." in told


def test_every_reason_has_words():
    assert review._WHY.keys() == REASONS.keys()


def test_a_case_is_shown_with_all_that_is_known(app: AppTest, api: FakeApi):
    said = {"answer": "E21B", "label": "B23B", "correct": False, "note": "![x](http://x)"}
    nothing = {"label": None, "note": None, "reviewer": None}
    api.cases[0]["feedback"] = [said | {"reviewer": "Bob"}, said | nothing | {"correct": True}]
    click(app, "Next case")
    assert not app.exception
    told = words(app)
    assert "The model is not sure of it." in told
    assert app.header[0].value == "E21B  Earth drilling"
    assert "↳ **E21** Earth drilling; mining (60 %)" in told
    assert "A drill bit &lt;b&gt;number&lt;/b&gt; 1." in text_of(app)
    table = app.dataframe[0].value
    assert list(table["Who"]) == ["Bob", "somebody"]
    assert list(table["Said"]) == ["E21B is wrong, it is B23B", "E21B is right"]
    assert "Nobody else gets this case for" in told


def test_right_settles_a_case_and_can_be_taken_back(app: AppTest, api: FakeApi):
    click(click(app, "Next case"), "Right")
    (decided,) = api.decided
    assert (decided["reviewer"], decided["correct"], decided["label"]) == ("Ada", True, None)
    assert "You said: E21B is right." in app.success[0].value
    assert "**1 case waits:**" in words(app)
    click(app, "Undo last decision")
    assert not app.exception
    assert api.decided == []
    assert "1." in text_of(app)
    assert not app.success
    click(app, "Right")
    assert api.decided[0]["key"] != decided["key"]  # or it would count as sent before


def test_wrong_names_what_it_should_have_been(app: AppTest, api: FakeApi):
    click(app, "Next case")
    field(app.toggle, "Wrong").set_value(True).run()
    field(app.selectbox, "It should have been").select("B23B · Turning; boring")
    field(app.text_input, "Note (if you like)").input("it bores")
    click(app, "Send")
    (decided,) = api.decided
    assert (decided["correct"], decided["label"], decided["note"]) == (False, "B23B", "it bores")
    assert "You said: E21B is wrong, it is B23B." in app.success[0].value


def test_the_next_case_starts_afresh_with_the_last_one_to_take_back(app: AppTest, api: FakeApi):
    click(app, "Next case")
    field(app.toggle, "Wrong").set_value(True).run()
    click(click(app, "Send"), "Next case")
    assert not field(app.toggle, "Wrong").value
    assert "2." in text_of(app)
    click(app, "Undo last decision")
    assert "1." in text_of(app)


def test_what_is_skipped_is_given_back(app: AppTest, api: FakeApi):
    click(click(app, "Next case"), "Skip")
    assert [case["prediction_id"][-1] for case in api.cases] == ["2", "1"]
    assert api.decided == []
    assert field(app.button, "Next case")


def test_where_nothing_waits_that_is_said(app: AppTest, api: FakeApi):
    api.cases, api.without_text = [], 3
    app.run()
    told = words(app)
    assert "No answer waits for a person." in told
    assert "3 answers more cannot be shown" in told
    assert "`patclass serve --keep-texts`" in told
    click(app, "Next case")
    assert "There is no case for you just now." in app.warning[0].value


def test_a_case_that_somebody_else_has_taken_is_put_away(app: AppTest, api: FakeApi):
    click(app, "Next case")
    api.troubles = [Trouble("taken", "This case is with somebody else by now.")]
    click(app, "Right")
    assert "with somebody else by now" in app.warning[0].value
    assert field(app.button, "Next case")


def test_a_decision_that_is_not_kept_can_be_sent_again(app: AppTest, api: FakeApi):
    click(app, "Next case")
    api.troubles = [Trouble("busy", "The service cannot reach what it remembers.", 1.0)]
    click(app, "Right")
    assert "Nothing was sent; try once more" in app.warning[0].value
    click(app, "Right")
    assert len(api.decided) == 1


def test_another_person_starts_afresh(app: AppTest):
    click(app, "Next case")
    click(app, "Somebody else")
    assert [found.label for found in app.button] == ["Start"]
