"""The page about monitoring, without a browser."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from fake_service import FakeApi, Keyed, monitor_of
from patclass.ui import session
from patclass.ui.client import Trouble

JARGON = ("logit", "softmax", "token", "calibrat", "traceback", "exception")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    fake = FakeApi()
    monkeypatch.setattr(session, "Api", lambda address, key: Keyed(fake, key))
    st.cache_resource.clear()
    yield fake
    st.cache_resource.clear()


@pytest.fixture
def visit(api: FakeApi) -> Callable[..., AppTest]:
    """The page after windows that ring with these signals."""

    def run(*ringing: tuple[str, ...], **changes: Any) -> AppTest:
        api.monitor_ = monitor_of(*ringing) | changes
        code = "from patclass.ui.views import monitor\nmonitor.page()"
        return AppTest.from_string(code, default_timeout=120).run()

    return run


def words(app: AppTest) -> str:
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.warning, app.success)
    return "\n".join(str(element.value) for kind in (*kinds, app.info) for element in kind)


def charts(app: AppTest) -> int:
    return len(app.get("vega_lite_chart"))


def test_without_a_reference_the_page_says_how_to_get_one(visit: Callable[..., AppTest]):
    app = visit(watched=False)
    assert not app.exception
    assert "`patclass monitor reference`" in app.info[0].value
    assert not app.subheader


def test_before_the_first_window_the_page_says_what_it_takes(visit: Callable[..., AppTest]):
    app = visit(window=2000, answers=1234)
    assert not app.exception
    assert "it takes 2,000 answers, and so far there are 1,234." in app.info[0].value
    assert charts(app) == 0


def test_what_is_usual_is_said_and_shown(visit: Callable[..., AppTest]):
    app = visit((), ())
    assert not app.exception
    assert app.success[0].value.startswith("**As usual**: the last 50 answers do not differ")
    assert not app.warning
    assert charts(app) == 7
    assert "Of the last 50 answers 80 % should be right" in words(app)
    assert "people judged 4 answers, of which 3 were right" in words(app)
    assert "None so far." in words(app)
    figures = app.dataframe[1].value
    assert list(figures["What"]) == ["How sure it is", "Codes", "Length", "New words", "Unlikeness"]
    assert list(figures["Rings"]) == ["no"] * 5
    assert list(figures["Largest gap"]) == ["0.200", "–", "0.200", "0.200", "0.200"]


def test_a_shift_is_named_with_since_when(visit: Callable[..., AppTest]):
    app = visit(("length",), (), ("labels",), ("labels", "confidence"))
    assert not app.exception
    told = app.warning[0].value
    assert told.startswith("**Shifted** since 2026-11-24 02:59: ")
    assert "measured on, in how sure the answers are and which codes are answered." in told
    alerts = app.dataframe[2].value
    assert alerts["When (UTC)"].iloc[0] == "2026-11-24 03:59"
    assert list(alerts["What"]) == ["Codes, How sure it is", "Codes", "Length"]


def test_a_shift_that_was_always_there_may_be_older(visit: Callable[..., AppTest]):
    assert "since 2026-11-24 00:59 or earlier" in visit(*[("labels",)] * 3).warning[0].value


def test_without_verdicts_nothing_is_measured(visit: Callable[..., AppTest]):
    assert "nobody has judged any of them yet" in words(visit(()))


def test_another_level_and_other_codes_are_chosen(visit: Callable[..., AppTest]):
    app = visit((), ())
    assert app.multiselect[0].value == ["B", "E", "H"]
    app.segmented_control[0].set_value("class").run()
    app.multiselect[0].set_value(["A"]).run()
    assert not app.exception
    assert charts(app) == 7
    app.multiselect[0].set_value([]).run()
    assert charts(app) == 6


def test_no_word_is_jargon(visit: Callable[..., AppTest]):
    told = words(visit((), ("labels", "oov_rate"))).lower()
    assert [word for word in JARGON if word in told] == []


def test_trouble_is_told_in_words(visit: Callable[..., AppTest], api: FakeApi):
    api.troubles = [Trouble("busy", "The store cannot be used now.", 1.0)]
    app = visit(())
    assert not app.exception
    assert "The store cannot be used now." in app.warning[0].value
