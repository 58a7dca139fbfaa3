"""The logic of the pages, without a browser."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import streamlit as st
from openpyxl import Workbook
from streamlit.testing.v1 import AppTest

from documents import pdf_of
from fake_service import FakeApi, WithKey, scored, warning
from patclass.ui import session
from patclass.ui.client import PageError, response_error
from patclass.ui.server import SCRIPT

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

    monkeypatch.setattr(session, "Api", lambda address, key: WithKey(fake, key))
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
    """All text on the page."""
    kinds = (app.title, app.header, app.subheader, app.markdown, app.caption, app.warning)
    kinds = (*kinds, app.error, app.success, app.info)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def test_the_page_starts_without_a_prediction(app: AppTest):
    assert not app.exception
    assert app.title[0].value == "Classify a patent"
    assert not app.header


def test_a_prediction_is_shown_with_all_its_parts(app: AppTest, api: FakeApi):
    classify(app)
    assert not app.exception
    assert api.patents == ["A drill bit."]
    assert app.header[0].value == "E21B  Earth drilling"
    shown = words(app)
    assert "High confidence · 93 %" in shown
    assert "↳ **E21** Earth drilling; mining (95 %)" in shown
    assert "Shortlist (90 % coverage)" in shown
    assert "2 codes: **E21B**, **B23B**" in shown
    assert "The full text was read." in shown
    assert list(app.dataframe[0].value["Patent"]) == ["US1"]


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"confidence": 0.6, "sure": False}, "Medium confidence · 60 %"),
        ({"confidence": 0.2, "sure": False}, "Low confidence, review recommended · 20 %"),
        ({"read_share": 0.25}, "25 % of the text"),
        (
            {"warnings": [warning("other_script", "the text is not in English")]},
            "- The text is not in English.",
        ),
        ({"label_set": [scored("E21B", 0.9)]}, "1 code: **E21B**"),
        (
            {"level": "section", "label": "E", "path": [scored("E", 0.9)]},
            "The confidence is too low to assign a class.",
        ),
    ],
)
def test_limitations_of_a_prediction_are_shown(
    app: AppTest, api: FakeApi, changes: dict[str, Any], shown: str
):
    api.changes = changes
    assert shown in words(classify(app))


def test_all_codes_are_shown_if_the_answer_has_them(app: AppTest, api: FakeApi):
    assert "All codes" not in words(classify(app))
    found = {"code": "Y02E", "title": "Reduction of emissions", "level": "subclass"}
    added = {"probability": 0.7, "precision": 0.8, "role": "additional"}
    api.changes = {"codes": [found | added]}
    assert "on validation patents at least 80 % were right." in words(classify(app))


def test_a_partly_read_text_is_mentioned_once(app: AppTest, api: FakeApi):
    partly = warning("partly_read", "only a part of the text was read")
    api.changes = {"read_share": 0.25, "warnings": [partly]}
    classify(app)
    assert not app.warning
    assert "25 % of the text" in words(app)


def test_the_page_contains_no_jargon(app: AppTest, api: FakeApi):
    api.changes = {"confidence": 0.2, "sure": False, "read_share": 0.5}
    shown = words(classify(app)).lower()
    assert [word for word in JARGON if word in shown] == []


@pytest.mark.parametrize("text", ["", "   \n"])
def test_an_empty_text_is_not_sent(app: AppTest, api: FakeApi, text: str):
    classify(app, text)
    assert "The text is empty" in app.error[0].value
    assert api.patents == []


def test_separate_fields_are_sent_separately(app: AppTest, api: FakeApi):
    app.segmented_control[0].set_value("Fields").run()
    field(app.text_input, "Title").input("Drill bit")
    field(app.text_area, "Claims").input("1. A bit.")
    button(app, "Classify").click().run()
    assert api.patents == [{"title": "Drill bit", "abstract": "", "claims": "1. A bit."}]


def test_the_number_is_only_asked_for_if_the_service_looks_it_up(app: AppTest):
    assert "Number" not in app.segmented_control[0].options


PATENT = {
    "number": "EP1000000A1",
    "office": "EPO",
    "title": "Drill <i>bit</i>",
    "abstract": "A bit **with** blades.",
    "codes": ["E21B10/00"],
}


@pytest.fixture
def numbers(api: FakeApi) -> AppTest:
    """The page of a service that looks numbers up."""
    api.numbers, api.changes = True, {"patent": PATENT}
    started = AppTest.from_file(str(SCRIPT), default_timeout=120).run()
    return started.segmented_control[0].set_value("Number").run()


def test_a_patent_is_classified_by_its_number(numbers: AppTest, api: FakeApi):
    field(numbers.text_input, "Publication number").input("EP 1 000 000 A1")
    button(numbers, "Classify").click().run()
    assert not numbers.exception
    assert api.patents == [{"number": "EP 1 000 000 A1"}]
    shown = "\n".join(element.proto.body for element in numbers.get("html"))
    assert "EP1000000A1 (EPO): Drill &lt;i&gt;bit&lt;/i&gt;" in shown
    assert "A bit **with** blades." in shown
    assert "Codes assigned by patent offices: E21B10/00" in words(numbers)
    assert numbers.header[0].value == "E21B  Earth drilling"


def test_the_number_stays_while_the_service_does_not_respond(numbers: AppTest, api: FakeApi):
    st.cache_data.clear()
    api.numbers = False
    numbers.run()
    assert not numbers.exception
    assert numbers.segmented_control[0].value == "Number"
    assert field(numbers.text_input, "Publication number")


def test_what_is_missing_of_a_patent_is_said(numbers: AppTest, api: FakeApi):
    api.changes = {"patent": PATENT | {"title": None, "abstract": None, "codes": []}}
    field(numbers.text_input, "Publication number").input("EP1")
    button(numbers, "Classify").click().run()
    shown = "\n".join(element.proto.body for element in numbers.get("html"))
    assert "EP1000000A1 (EPO): without a title" in shown
    assert "no abstract in English" in shown
    assert "assigned by patent offices" not in words(numbers)


def test_an_empty_number_is_not_sent(numbers: AppTest, api: FakeApi):
    button(numbers, "Classify").click().run()
    assert "Enter a publication number" in numbers.error[0].value
    assert api.patents == []


def test_an_error_of_an_office_is_shown(
    numbers: AppTest, api: FakeApi, monkeypatch: pytest.MonkeyPatch
):
    def explain(patent: object, model: object) -> Any:
        raise response_error(422, "unknown_number", "the EPO has no publication EP9A1. Check it.")

    monkeypatch.setattr(api, "explain", explain)
    field(numbers.text_input, "Publication number").input("EP9A1")
    button(numbers, "Classify").click().run()
    assert numbers.error[0].value == "The EPO has no publication EP9A1. Check it."


def test_an_example_is_classified(app: AppTest, api: FakeApi):
    app.segmented_control[0].set_value("Example").run()
    button(app, "Classify").click().run()
    assert app.header[0].value.startswith("E21B")
    assert api.patents[0]["title"] == "Drill bit with steel blades"


def test_without_a_file_nothing_is_sent(app: AppTest, api: FakeApi):
    app.segmented_control[0].set_value("Document").run()
    button(app, "Classify").click().run()
    assert "No file was uploaded" in app.error[0].value


def test_an_uploaded_document_is_read(app: AppTest, api: FakeApi):
    app.segmented_control[0].set_value("Document").run()
    app.file_uploader[0].upload("bit.pdf", pdf_of("A drill bit"), "application/pdf")
    button(app, "Classify").click().run()
    assert not app.exception
    assert [text.strip() for text in api.patents] == ["A drill bit"]


def test_a_document_without_a_text_says_so(app: AppTest, api: FakeApi):
    app.segmented_control[0].set_value("Document").run()
    app.file_uploader[0].upload("scan.pdf", pdf_of(""), "application/pdf")
    button(app, "Classify").click().run()
    assert "a scan without a text layer" in app.error[0].value
    assert api.patents == []


def test_another_level_and_the_codes_below_one_are_shown(app: AppTest):
    classify(app)
    level = next(c for c in app.segmented_control if c.label == "Level")
    level.set_value("section").run()
    codes = field(app.selectbox, "Show the codes below (or click a bar)")
    assert codes.options == ["E", "B"]
    codes.select("B").run()
    assert button(app, "Back to all codes")
    codes = field(app.selectbox, "Show the codes below (or click a bar)")
    assert codes.options == ["B23"]
    button(app, "Back to all codes").click().run()
    assert any(c.label == "Level" for c in app.segmented_control)


def test_feedback_is_sent_once_and_confirmed(app: AppTest, api: FakeApi):
    classify(app)
    button(app, "Correct").click().run()
    feedback = {"text": "A drill bit.", "keep_text": True}
    assert api.given == [{"prediction_id": "0" * 32, "correct": True} | feedback]
    assert app.success[0].value.startswith("Feedback recorded: E21B is correct. Thank you.")
    assert "Correct" not in [found.label for found in app.button]


def test_a_correction_has_code_note_and_reviewer(app: AppTest, api: FakeApi):
    classify(app)
    field(app.toggle, "Incorrect").set_value(True).run()
    label = field(app.selectbox, "Correct code")
    assert "B23B · Turning; boring" in label.options
    label.select("B23B · Turning; boring")
    field(app.text_input, "Note (optional)").input("it bores")
    field(app.text_input, "Your name (optional)").input("Ada")
    button(app, "Submit").click().run()
    assert api.given == [
        {
            "prediction_id": "0" * 32,
            "text": "A drill bit.",
            "keep_text": True,
            "correct": False,
            "label": "B23B",
            "note": "it bores",
            "reviewer": "Ada",
        }
    ]
    assert "Feedback recorded: E21B is incorrect; the correct code is B23B." in app.success[0].value


def test_a_correction_may_be_a_code_that_the_model_lacks(app: AppTest, api: FakeApi):
    classify(app)
    field(app.toggle, "Incorrect").set_value(True).run()
    label = field(app.selectbox, "Correct code")
    label.options.append("a61k 31/7036")  # as a browser sends what was typed
    label.select("a61k 31/7036")
    button(app, "Submit").click().run()
    assert api.given[0]["label"] == "a61k 31/7036"
    assert "; the correct code is a61k 31/7036." in app.success[0].value


def test_feedback_that_was_not_stored_can_be_sent_again(app: AppTest, api: FakeApi):
    classify(app)
    api.errors = [PageError("busy", "The feedback could not be stored.", 1.0)]
    button(app, "Correct").click().run()
    assert "could not be stored. Nothing was saved. Try again" in app.warning[0].value
    assert "Try again" not in [found.label for found in app.button]
    button(app, "Correct").click().run()
    assert len(api.given) == 1


@pytest.mark.parametrize("kind", ["unavailable", "loading"])
def test_the_page_continues_when_the_service_is_available(app: AppTest, api: FakeApi, kind: Any):
    api.errors, api.is_ready = [PageError(kind, "The service is not responding.", 1.0)] * 2, False
    classify(app)
    assert "is not responding" in app.warning[0].value
    assert "The page continues as soon as the service is available." in words(app)
    app.run()
    assert not app.header
    api.is_ready, api.errors = True, []
    app.session_state["last_check"] -= 2
    app.run()
    assert app.header[0].value.startswith("E21B")
    assert api.patents == ["A drill bit."]


def test_a_request_to_a_busy_service_can_be_repeated(app: AppTest, api: FakeApi):
    api.errors = [PageError("busy", "Try again in 3 s.", 3.0)]
    classify(app)
    assert "Try again in 3 s." in app.warning[0].value
    button(app, "Try again").click().run()
    assert app.header[0].value.startswith("E21B")


def test_a_key_is_requested_once_and_remembered(app: AppTest, api: FakeApi):
    api.required_key = "pk_mine"
    classify(app)
    assert "requires an access key" in app.error[0].value
    field(app.text_input, "Access key").input(" pk_wrong").run()
    assert "requires an access key" in app.error[0].value
    field(app.text_input, "Access key").input("pk_mine ").run()
    assert app.header[0].value.startswith("E21B")
    button(app, "Correct").click().run()
    assert len(api.given) == 1
    classify(app, "Another drill bit.")
    assert not app.error
    assert api.patents[-1] == "Another drill bit."


def test_a_refused_text_is_explained_and_not_sent_again(app: AppTest, api: FakeApi):
    api.errors = [PageError("invalid_input", "The text has 2,001 characters.")]
    classify(app)
    assert "2,001 characters" in app.error[0].value
    app.run()
    assert api.patents == []


@pytest.fixture
def page(api: FakeApi) -> Callable[[str], AppTest]:
    """One of the pages, run alone."""

    def run(name: str) -> AppTest:
        code = f"from patclass.ui.views import {name}\n{name}.page()"
        return AppTest.from_string(code, default_timeout=120).run()

    return run


REPORT = {
    "levels": {
        "section": {
            "metrics": {
                "rows": 100,
                "accuracy": 0.9,
                "macro_f1": 0.8,
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
    api.evaluation = REPORT
    app = page("model")
    assert not app.exception
    assert "Evaluated on 100 held-out patents:" in words(app)
    assert list(app.dataframe[0].value["Accuracy"]) == ["90 %"]
    assert list(app.dataframe[0].value["95 % interval"]) == ["83 % – 95 %"]
    assert "license" not in words(app)


def test_a_model_without_figures_says_so(page: Callable[[str], AppTest]):
    assert "no evaluation report" in page("model").info[0].value


def test_one_of_several_models_can_be_selected(page: Callable[[str], AppTest], api: FakeApi):
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


def test_a_file_is_recognised_classified_and_offered_for_download(
    page: Callable[[str], AppTest], api: FakeApi
):
    app = page("file")
    app.file_uploader[0].upload("patents.csv", table_of(40), "text/csv").run()
    assert not app.exception
    assert "Recognised columns: publication number, title, abstract (read as ',', UTF-8, " in words(
        app
    )
    assert len(app.dataframe[0].value) == 10
    button(app, "Classify 40 patents").click().run()
    while app.session_state["job"] and len(api.patents) < 40:
        app.run()
    app.run()
    assert not app.exception
    assert [metric.value for metric in app.metric] == ["40", "0", "0", "0"]
    assert len(app.dataframe[0].value) == 40
    assert list(app.dataframe[0].value)[:3] == ["Patent", "title", "Code"]
    assert app.multiselect[0].options == ["B", "B23", "B23B", "E", "E21", "E21B"]
    app.multiselect[0].select("E").run()
    assert len(app.dataframe[0].value) == 10
    app.slider[0].set_range(95, 100).run()
    assert len(app.dataframe[0].value) == 0
    button(app, "Classify another file").click().run()
    assert app.file_uploader


def test_an_invalid_file_is_refused_with_a_message(page: Callable[[str], AppTest]):
    app = page("file")
    app.file_uploader[0].upload("patents.xlsx", b"no workbook", "application/x").run()
    assert not app.exception
    assert "not a workbook" in app.error[0].value


def test_unrecognised_columns_can_be_selected(page: Callable[[str], AppTest], api: FakeApi):
    app = page("file")
    app.file_uploader[0].upload("a.csv", b"x,y\n1,A loom.\n", "text/csv").run()
    assert "No column was recognised" in words(app)
    assert "Select the column that contains the full text" in app.warning[0].value
    field(app.selectbox, "Full text").select("y").run()
    button(app, "Classify 1 patent").click().run()
    while not api.patents:
        app.run()
    assert api.patents == [{"id": "1", "text": "A loom."}]


def test_the_columns_of_another_file_are_recognised_as_well(page: Callable[[str], AppTest]):
    app = page("file")
    app.file_uploader[0].upload("a.csv", b"number,title\n1,A loom.\n", "text/csv").run()
    app.file_uploader[0].upload("b.csv", b"nr,abstract\n1,A loom.\n", "text/csv").run()
    assert not app.exception
    assert field(app.selectbox, "Abstract").value == "abstract"
    assert field(app.selectbox, "Title").value == "(none)"


def test_how_a_file_is_written_can_be_stated(page: Callable[[str], AppTest]):
    content = b"id;a,b,title\n1;2,3,A loom.\n2;4,5,A pump.\n"
    app = page("file")
    app.file_uploader[0].upload("a.csv", content, "text/csv").run()
    assert list(app.dataframe[0].value) == ["id;a", "b", "title"]
    field(app.selectbox, "Delimiter").select("Semicolon").run()
    assert not app.exception
    assert list(app.dataframe[0].value) == ["id", "a,b,title"]
    field(app.selectbox, "Delimiter").select("Vertical bar").run()
    assert "stands in none" in app.error[0].value
    assert list(app.dataframe[0].value) == ["id;a", "b", "title"]


def test_a_sheet_may_be_named_as_a_delimiter(page: Callable[[str], AppTest]):
    book = Workbook()
    book.active.append(["title"])
    book.create_sheet("Tab").append(["abstract", "year"])
    book["Tab"].append(["A loom.", 2006])
    book.active.append(["A pump."])
    content = io.BytesIO()
    book.save(content)
    app = page("file")
    app.file_uploader[0].upload("a.xlsx", content.getvalue(), "application/x").run()
    for sheet, columns in (("Sheet", ["title"]), ("Tab", ["abstract", "year"])):
        field(app.selectbox, "Sheet").select(sheet).run()
        assert not app.exception
        assert not app.error
        assert list(app.dataframe[0].value) == columns


def test_a_job_that_could_not_start_can_be_started_again(
    page: Callable[[str], AppTest], api: FakeApi
):
    app = page("file")
    app.file_uploader[0].upload("a.csv", table_of(3), "text/csv").run()
    api.errors = [PageError("unavailable", "The service is not responding.", 1.0)]
    button(app, "Classify 3 patents").click().run()
    assert "Nothing was saved" in app.warning[0].value
    button(app, "Classify 3 patents").click().run()
    while len(api.patents) < 3:
        app.run()


def test_a_flat_model_has_results_too(page: Callable[[str], AppTest], api: FakeApi):
    api.changes = {"label": "chemistry", "section": None, "class": None, "subclass": None}
    app = page("file")
    app.file_uploader[0].upload("a.csv", b"text\nA loom.\n", "text/csv").run()
    button(app, "Classify 1 patent").click().run()
    while not api.patents:
        app.run()
    app.run()
    assert not app.exception
    assert app.multiselect[0].options == ["chemistry"]
