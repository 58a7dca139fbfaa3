"""The pages' logic, without a browser."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from documents import pdf_of
from fake_service import FakeApi, Keyed, candidate
from patclass.ui import session
from patclass.ui.client import Trouble

SCRIPT = Path(__file__).resolve().parents[2] / "src" / "frontend.py"
JARGON = ("logit", "softmax", "token", "calibrat", "conformal", "traceback", "exception")


@pytest.fixture(autouse=True)
def nothing_cached() -> Iterator[None]:
    st.cache_resource.clear()
    st.cache_data.clear()
    yield
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    fake = FakeApi()

    monkeypatch.setattr(session, "Api", lambda address, key: Keyed(fake, key))
    return fake


@pytest.fixture
def app(api: FakeApi) -> AppTest:
    return AppTest.from_file(str(SCRIPT), default_timeout=120).run()


def button(app: AppTest, label: str) -> Any:
    return next(found for found in app.button if found.label == label)


def field(found: Any, label: str) -> Any:
    return next(element for element in found if element.label == label)


def classify(app: AppTest, text: str = "A drill bit.") -> AppTest:
    field(app.text_area, "Text of the patent").input(text)
    return button(app, "Classify").click().run()


def words(app: AppTest) -> str:
    """All that the page says."""
    kinds = (app.title, app.header, app.subheader, app.markdown, app.caption, app.warning)
    kinds = (*kinds, app.error, app.success, app.info)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def test_the_page_asks_before_it_says_anything(app: AppTest):
    assert not app.exception
    assert app.title[0].value == "Which codes fit this patent?"
    assert not app.header


def test_an_answer_says_code_titles_trust_set_and_neighbours(app: AppTest, api: FakeApi):
    classify(app)
    assert not app.exception
    assert api.asked == ["A drill bit."]
    assert app.header[0].value == "E21B  Earth drilling"
    told = words(app)
    assert "sure · 93 %" in told
    assert "↳ **E21** Earth drilling; mining (95 %)" in told
    assert "One of these 2 codes is the right one: **E21B**, **B23B**, in 9 cases of 10." in told
    assert "All of the text was read." in told
    assert list(app.dataframe[0].value["Patent"]) == ["US1"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"confidence": 0.6, "sure": False}, "likely · 60 %"),
        ({"confidence": 0.2, "sure": False}, "unsure: have it checked · 20 %"),
        ({"read": 0.25}, "25 % of the text"),
        ({"warnings": ["the text is not in English"]}, "- The text is not in English."),
        ({"set": [candidate("E21B", 0.9)]}, "**E21B** alone holds the right code"),
        (
            {"level": "section", "label": "E", "path": [candidate("E", 0.9)]},
            "The class is not sure enough to be named.",
        ),
    ],
)
def test_what_is_doubtful_is_said(app: AppTest, api: FakeApi, changes: dict[str, Any], told: str):
    api.changes = changes
    assert told in words(classify(app))


def test_no_word_is_jargon(app: AppTest, api: FakeApi):
    api.changes = {"confidence": 0.2, "sure": False, "read": 0.5}
    told = words(classify(app)).lower()
    assert [word for word in JARGON if word in told] == []


@pytest.mark.parametrize("text", ["", "   \n"])
def test_an_empty_text_is_not_sent(app: AppTest, api: FakeApi, text: str):
    classify(app, text)
    assert "There is no text yet" in app.error[0].value
    assert api.asked == []


def test_fields_are_sent_as_fields(app: AppTest, api: FakeApi):
    app.segmented_control[0].set_value("Fields").run()
    field(app.text_input, "Title").input("Drill bit")
    field(app.text_area, "Claims").input("1. A bit.")
    button(app, "Classify").click().run()
    assert api.asked == [{"title": "Drill bit", "abstract": "", "claims": "1. A bit."}]


def test_an_example_is_answered(app: AppTest, api: FakeApi):
    app.segmented_control[0].set_value("Example").run()
    button(app, "Classify").click().run()
    assert app.header[0].value.startswith("E21B")
    assert api.asked[0]["title"] == "Drill bit with steel blades"


def test_without_a_file_nothing_is_sent(app: AppTest, api: FakeApi):
    app.segmented_control[0].set_value("PDF or TXT").run()
    button(app, "Classify").click().run()
    assert "No file was chosen" in app.error[0].value


def test_a_dropped_document_is_read(app: AppTest, api: FakeApi):
    app.segmented_control[0].set_value("PDF or TXT").run()
    app.file_uploader[0].upload("bit.pdf", pdf_of("A drill bit"), "application/pdf")
    button(app, "Classify").click().run()
    assert not app.exception
    assert [text.strip() for text in api.asked] == ["A drill bit"]


def test_a_document_without_a_text_says_so(app: AppTest, api: FakeApi):
    app.segmented_control[0].set_value("PDF or TXT").run()
    app.file_uploader[0].upload("scan.pdf", pdf_of(""), "application/pdf")
    button(app, "Classify").click().run()
    assert "It may be a scan" in app.error[0].value
    assert api.asked == []


def test_another_level_and_a_branch_are_shown(app: AppTest):
    classify(app)
    level = next(c for c in app.segmented_control if c.label == "Level")
    level.set_value("section").run()
    branch = field(app.selectbox, "Open a branch (or click on its bar)")
    assert branch.options == ["E", "B"]
    branch.select("B").run()
    assert button(app, "Back from B to all codes")
    branch = field(app.selectbox, "Open a branch (or click on its bar)")
    assert branch.options == ["B23"]
    button(app, "Back from B to all codes").click().run()
    assert any(c.label == "Level" for c in app.segmented_control)


def test_right_is_sent_once_and_thanked_for(app: AppTest, api: FakeApi):
    classify(app)
    button(app, "Right").click().run()
    kept = {"text": "A drill bit.", "keep_text": True}
    assert api.verdicts == [{"prediction_id": "0" * 32, "correct": True} | kept]
    assert app.success[0].value.startswith("You said: E21B is right. Thank you.")
    assert "Right" not in [found.label for found in app.button]


def test_wrong_names_what_it_should_have_been(app: AppTest, api: FakeApi):
    classify(app)
    field(app.toggle, "Wrong").set_value(True).run()
    label = field(app.selectbox, "It should have been")
    assert "B23B · Turning; boring" in label.options
    label.select("B23B · Turning; boring")
    field(app.text_input, "Note (if you like)").input("it bores")
    field(app.text_input, "Your name (if you like)").input("Ada")
    button(app, "Send").click().run()
    assert api.verdicts == [
        {
            **{
                "prediction_id": "0" * 32,
                "text": "A drill bit.",
                "keep_text": True,
                "correct": False,
                "label": "B23B",
            },
            **{"note": "it bores", "reviewer": "Ada"},
        }
    ]
    assert "You said: E21B is wrong, it is B23B." in app.success[0].value


def test_a_verdict_that_is_not_kept_can_be_sent_again(app: AppTest, api: FakeApi):
    classify(app)
    api.troubles = [Trouble("busy", "Your verdict could not be kept.", 1.0)]
    button(app, "Right").click().run()
    assert "could not be kept. Nothing was sent; try once more" in app.warning[0].value
    assert "Try again" not in [found.label for found in app.button]
    button(app, "Right").click().run()
    assert len(api.verdicts) == 1


@pytest.mark.parametrize("kind", ["away", "loading"])
def test_the_page_goes_on_when_the_service_is_back(app: AppTest, api: FakeApi, kind: Any):
    api.troubles, api.up = [Trouble(kind, "The service does not answer.", 1.0)] * 2, False
    classify(app)
    assert "does not answer" in app.warning[0].value
    assert "The page goes on as soon as the service is back." in words(app)
    app.run()
    assert not app.header
    api.up, api.troubles = True, []
    app.session_state["looked_at"] -= 2
    app.run()
    assert app.header[0].value.startswith("E21B")
    assert api.asked == ["A drill bit."]


def test_a_busy_service_is_asked_again_by_a_button(app: AppTest, api: FakeApi):
    api.troubles = [Trouble("busy", "Try again in 3 s.", 3.0)]
    classify(app)
    assert "Try again in 3 s." in app.warning[0].value
    button(app, "Try again").click().run()
    assert app.header[0].value.startswith("E21B")


def test_a_key_is_asked_for_once_and_kept(app: AppTest, api: FakeApi):
    api.needs = "pk_mine"
    classify(app)
    assert "asks for an access key" in app.error[0].value
    field(app.text_input, "Access key").input(" pk_wrong").run()
    assert "asks for an access key" in app.error[0].value
    field(app.text_input, "Access key").input("pk_mine ").run()
    assert app.header[0].value.startswith("E21B")
    button(app, "Right").click().run()
    assert len(api.verdicts) == 1
    classify(app, "Another drill bit.")
    assert not app.error
    assert api.asked[-1] == "Another drill bit."


def test_a_text_that_is_refused_says_why_and_is_not_sent_again(app: AppTest, api: FakeApi):
    api.troubles = [Trouble("input", "The text has 2,001 characters.")]
    classify(app)
    assert "2,001 characters" in app.error[0].value
    app.run()
    assert api.asked == []


@pytest.fixture
def page(api: FakeApi) -> Callable[[str], AppTest]:
    """One of the pages, run by itself."""

    def run(name: str) -> AppTest:
        code = f"from patclass.ui.views import {name}\n{name}.page()"
        return AppTest.from_string(code, default_timeout=120).run()

    return run


REPORT = {
    "levels": {
        "section": {
            "metrics": {
                **{"rows": 100, "accuracy": 0.9, "macro_f1": 0.8},
                "per_class": [
                    {"code": "B", "precision": 0.9, "recall": 0.8, "support": 40},
                    {"code": "E", "precision": 0.9, "recall": 0.95, "support": 60},
                ],
                "confusion": [[32, 8], [3, 57]],
            },
            "accuracy_interval": {"low": 0.83, "high": 0.95},
            "ece": 0.02,
            "reliability": [{"confidence": 0.9, "accuracy": 0.88, "rows": 100}],
        }
    }
}


def test_the_model_is_shown_with_its_figures(page: Callable[[str], AppTest], api: FakeApi):
    api.report_ = REPORT
    app = page("model")
    assert not app.exception
    assert "Measured on 100 patents that it did not learn from:" in words(app)
    assert list(app.dataframe[0].value["Right"]) == ["90 %"]
    assert list(app.dataframe[0].value["19 times in 20 between"]) == ["83 % and 95 %"]
    assert "license" not in words(app)


def test_a_model_without_figures_says_so(page: Callable[[str], AppTest]):
    assert "without an evaluation" in page("model").info[0].value


def test_one_of_several_models_is_chosen(page: Callable[[str], AppTest], api: FakeApi):
    api.names = ("first", "second")
    app = page("model")
    app.selectbox[0].select("second").run()
    assert app.session_state["model"] == "second"


def table_of(rows: int) -> bytes:
    lines = [
        f"EP{number},{'A boring tool' if number % 4 else 'A drill bit'},It is of steel."
        for number in range(rows)
    ]
    return "\n".join(["number,title,abstract", *lines]).encode()


def test_a_file_is_recognised_answered_and_offered(page: Callable[[str], AppTest], api: FakeApi):
    app = page("file")
    app.file_uploader[0].upload("patents.csv", table_of(40), "text/csv").run()
    assert not app.exception
    assert "Recognised: number of the patent, title, abstract." in words(app)
    assert len(app.dataframe[0].value) == 10
    button(app, "Classify 40 patents").click().run()
    while app.session_state["job"] and len(api.asked) < 40:
        app.run()
    app.run()
    assert not app.exception
    assert [metric.value for metric in app.metric] == ["40", "0", "0", "0"]
    assert len(app.dataframe[0].value) == 40
    assert app.multiselect[0].options == ["B", "B23", "B23B", "E", "E21", "E21B"]
    app.multiselect[0].select("E").run()
    assert len(app.dataframe[0].value) == 10
    app.slider[0].set_range(95, 100).run()
    assert len(app.dataframe[0].value) == 0
    button(app, "Another file").click().run()
    assert app.file_uploader


def test_a_wrong_file_is_refused_in_words(page: Callable[[str], AppTest]):
    app = page("file")
    app.file_uploader[0].upload("patents.xlsx", b"no workbook", "application/x").run()
    assert not app.exception
    assert "no workbook" in app.error[0].value


def test_columns_that_are_not_recognised_are_chosen(page: Callable[[str], AppTest], api: FakeApi):
    app = page("file")
    app.file_uploader[0].upload("a.csv", b"x,y\n1,A loom.\n", "text/csv").run()
    assert "No column was recognised" in words(app)
    assert "Say above which column holds the text" in app.warning[0].value
    field(app.selectbox, "Whole text").select("y").run()
    button(app, "Classify 1 patent").click().run()
    while not api.asked:
        app.run()
    assert api.asked == [{"id": "1", "text": "A loom."}]


def test_the_columns_of_another_file_are_recognised_anew(page: Callable[[str], AppTest]):
    app = page("file")
    app.file_uploader[0].upload("a.csv", b"number,title\n1,A loom.\n", "text/csv").run()
    app.file_uploader[0].upload("b.csv", b"nr,abstract\n1,A loom.\n", "text/csv").run()
    assert not app.exception
    assert field(app.selectbox, "Abstract").value == "abstract"
    assert field(app.selectbox, "Title").value == "(none)"


def test_a_file_that_cannot_be_started_can_be_once_more(
    page: Callable[[str], AppTest], api: FakeApi
):
    app = page("file")
    app.file_uploader[0].upload("a.csv", table_of(3), "text/csv").run()
    api.troubles = [Trouble("away", "The service does not answer.", 1.0)]
    button(app, "Classify 3 patents").click().run()
    assert "Nothing was sent" in app.warning[0].value
    button(app, "Classify 3 patents").click().run()
    while len(api.asked) < 3:
        app.run()


def test_a_flat_model_has_answers_too(page: Callable[[str], AppTest], api: FakeApi):
    api.changes = {"label": "chemistry", "section": None, "class": None, "subclass": None}
    app = page("file")
    app.file_uploader[0].upload("a.csv", b"text\nA loom.\n", "text/csv").run()
    button(app, "Classify 1 patent").click().run()
    while not api.asked:
        app.run()
    app.run()
    assert not app.exception
    assert app.multiselect[0].options == ["chemistry"]
