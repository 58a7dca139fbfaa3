"""The page about monitoring, without a browser."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from fake_service import SIGNALS, FakeApi, WithKey, monitor_of
from patclass.ui import session
from patclass.ui.client import PageError

JARGON = ("logit", "softmax", "token", "calibrat", "traceback", "exception")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    fake = FakeApi()
    monkeypatch.setattr(session, "Api", lambda address, key: WithKey(fake, key))
    st.cache_resource.clear()
    yield fake
    st.cache_resource.clear()


@pytest.fixture
def visit(api: FakeApi) -> Callable[..., AppTest]:
    """The page after windows with alerts of these signals."""

    def run(*alerting: tuple[str, ...], **changes: Any) -> AppTest:
        api.monitoring = monitor_of(*alerting) | changes
        code = "from patclass.ui.views import monitor\nmonitor.page()"
        return AppTest.from_string(code, default_timeout=120).run()

    return run


def words(app: AppTest) -> str:
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.warning, app.success)
    return "\n".join(str(element.value) for kind in (*kinds, app.info) for element in kind)


def charts(app: AppTest) -> int:
    return len(app.get("vega_lite_chart"))


def test_without_reference_data_the_page_says_so(visit: Callable[..., AppTest]):
    app = visit(monitored=False)
    assert not app.exception
    assert "without reference data" in app.info[0].value
    assert not app.subheader


def test_before_the_first_window_the_page_says_what_is_needed(visit: Callable[..., AppTest]):
    app = visit(window=2000, answers=1234)
    assert not app.exception
    assert "needs 2,000 predictions, 1,234 of which are available." in app.info[0].value
    assert charts(app) == 0


def test_no_drift_is_shown_with_all_charts(visit: Callable[..., AppTest]):
    app = visit((), ())
    assert not app.exception
    assert app.success[0].value.startswith(
        "**No drift detected.** There is no significant difference"
    )
    assert not app.warning
    assert charts(app) == 7
    assert "Last 50 predictions: estimated accuracy 80 %" in words(app)
    assert "3 of 4 reviewed predictions are correct" in words(app)
    assert "No alerts so far." in words(app)
    figures = app.dataframe[1].value
    assert list(figures["Signal"]) == [title for title, _ in SIGNALS.values()]
    assert list(figures["Alert"]) == ["no"] * 5
    assert list(figures["KS statistic"]) == ["0.200", "–", "0.200", "0.200", "0.200"]


def test_drift_is_shown_with_its_start(visit: Callable[..., AppTest]):
    app = visit(("length",), (), ("labels",), ("labels", "confidence"))
    assert not app.exception
    text = app.warning[0].value
    assert text.startswith("**Drift detected** since 2026-11-24 02:59 UTC.")
    assert "Signals: Confidence, Labels." in text
    alerts = app.dataframe[2].value
    assert alerts["Time (UTC)"].iloc[0] == "2026-11-24 03:59"
    assert list(alerts["Signals"]) == [
        "Labels, Confidence",
        "Labels",
        "Text length",
    ]


def test_drift_in_every_window_may_have_started_earlier(visit: Callable[..., AppTest]):
    assert "since 2026-11-24 00:59 UTC or earlier" in visit(*[("labels",)] * 3).warning[0].value


def test_without_feedback_no_accuracy_is_shown(visit: Callable[..., AppTest]):
    assert "no predictions have been reviewed yet" in words(visit(()))


def test_another_level_and_other_codes_can_be_selected(visit: Callable[..., AppTest]):
    app = visit((), ())
    assert app.multiselect[0].value == ["B", "E", "H"]
    app.segmented_control[0].set_value("class").run()
    app.multiselect[0].set_value(["A"]).run()
    assert not app.exception
    assert charts(app) == 7
    app.multiselect[0].set_value([]).run()
    assert charts(app) == 6


def test_the_page_contains_no_jargon(visit: Callable[..., AppTest]):
    shown = words(visit((), ("labels", "oov_rate"))).lower()
    assert [word for word in JARGON if word in shown] == []


def test_an_error_is_shown(visit: Callable[..., AppTest], api: FakeApi):
    api.errors = [PageError("busy", "The store cannot be used now.", 1.0)]
    app = visit(())
    assert not app.exception
    assert "The store cannot be used now." in app.warning[0].value
