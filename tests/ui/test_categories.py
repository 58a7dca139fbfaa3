"""A visitor's own categories: entered, learnt, shown, used and removed."""

import gc
import io
import json
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from fake_service import FakeApi, WithKey, result_of
from helpers import wait_until
from patclass.core.errors import DataError, OutputError
from patclass.ui import categories, fitting, session
from patclass.ui.categories import (
    MAX_EXAMPLES,
    MAX_KEPT,
    VARIABLE,
    CategoryModel,
    Taxonomy,
    examples_of,
    is_available,
    label_column,
    split_examples,
    start,
    with_texts,
)
from patclass.ui.client import PageError
from patclass.ui.files import read_table
from patclass.ui.fitting import BUNDLE, NONE, PROGRESS, TASK
from patclass.ui.views.categories import at_probability

FIGURES = {
    "method": "combined",
    "accuracy": 0.86,
    "accuracy_interval": {"low": 0.74, "high": 0.93},
    "macro_f1": 0.85,
    "macro_f1_interval": {"low": 0.7, "high": 0.9},
    "behind": None,
}


def report_of(*labels: str) -> dict[str, Any]:
    """A report on labels with five examples each, of which one of the last is mistaken."""
    confusion = [
        [5 * (row == column) for column in range(len(labels))] for row in range(len(labels))
    ]
    confusion[-1][0], confusion[-1][-1] = 1, 4
    return {
        "method": "combined",
        "labels": list(labels),
        "examples": [5] * len(labels),
        "figures": [FIGURES, FIGURES | {"method": "names", "accuracy": 0.7}],
        "confusion": confusion,
        "per_class": [
            {"code": label, "precision": 0.9, "recall": 0.8, "f1": 0.85, "support": 5}
            for label in labels
        ],
        "curves": {
            label: [
                {"threshold": 0.2, "precision": 0.6, "recall": 1.0},
                {"threshold": 0.7, "precision": 0.95, "recall": 0.4},
            ]
            for label in labels
        },
        "notes": [],
    }


class Work:
    """Stands in for the process that learns and classifies; ``gate`` lets it begin."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.error: str | None = None
        self.folders: list[Path] = []
        self.texts: list[str] = []

    def __call__(self, function: Any, limits: Any, what: str, folder: str, text: str = "") -> Any:
        task = json.loads((Path(folder) / TASK).read_text(encoding="utf-8"))
        labels = sorted({label for _, label in task["examples"]})
        if function is fitting.classify:
            self.texts.append(text)
            shares = [0.6, *[0.4 / (len(labels) - 1)] * (len(labels) - 1)]
            return {
                "probabilities": list(zip(labels, shares, strict=True)),
                "warnings": ["few words"],
            }
        self.folders.append(Path(folder))
        self.gate.wait(60)
        if self.error:
            raise DataError(self.error)
        (Path(folder) / BUNDLE).mkdir()
        (Path(folder) / BUNDLE / "manifest.json").write_text("{}", encoding="utf-8")
        return report_of(*labels)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    work = Work()
    monkeypatch.setattr(categories, "call", work)
    return work


TWO = Taxonomy(("bits", "pumps"), (("A drill bit", "bits"), ("A pump", "pumps")), {})


def learnt(taxonomy: Taxonomy = TWO) -> CategoryModel:
    model = start(taxonomy)
    wait_until(lambda: not model.running)
    wait_until(lambda: not categories._turn.locked())
    return model


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("one\ntwo\n", ["one", "two"]),
        ("Title\nAbstract\n \n\nTitle 2", ["Title\nAbstract", "Title 2"]),
        ("a" * 30_000, ["a" * 20_000]),
    ],
)
def test_examples_are_divided_by_empty_lines_or_lines(text: str, found: list[str]):
    assert split_examples(text) == found


@pytest.mark.parametrize(
    ("taxonomy", "why"),
    [
        (
            Taxonomy(tuple(map(str, range(40))), tuple(("text", str(n)) for n in range(3)), {}),
            r"37 of 40 categories have neither examples nor a description: '3', .* 5 to 15",
        ),
        (Taxonomy(("a", "a"), (), {"a": "x"}), "Several categories are called 'a'"),
        (Taxonomy(("a",), (("x", "a"),) * (MAX_EXAMPLES + 1), {}), "1,001 examples, more than"),
        (Taxonomy(tuple(map(str, range(101))), (), {}), "101 categories, more than 100"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_line(taxonomy: Taxonomy, why: str):
    with pytest.raises(PageError, match=why):
        taxonomy.check()


def test_one_category_and_negative_examples_are_one_versus_rest():
    assert Taxonomy(("a",), (("x", "a"), ("y", NONE)), {}).is_one_versus_rest
    assert not TWO.is_one_versus_rest


TABLE = b"""\
Title,Abstract,Category,number
Bit,A drill bit.,bits,1
,,pumps,EP1000000A1
Chair,,rest,3
Loom,,,4
"""


def test_a_table_gives_examples_negatives_and_numbers():
    table = read_table("mine.csv", TABLE)
    column = label_column(table)
    assert column == "Category"
    examples, families = examples_of(table, table.roles, column, "rest")
    assert examples == [("Bit. A drill bit.", "bits"), ("EP1000000A1", "pumps"), ("Chair", NONE)]
    assert families == ["", "", ""]


def test_a_row_without_text_and_number_is_told():
    table = read_table("mine.csv", b"Title,Category\nBit,bits\n,pumps\n")
    with pytest.raises(PageError, match="Row 2 has neither a text nor a publication number"):
        examples_of(table, table.roles, "Category", None)


def test_the_text_of_a_number_comes_from_its_office():
    api = FakeApi()
    patent = {"number": "EP1000000A1", "title": "Pump", "abstract": "A pump."}
    api.changes = {"patent": patent}
    api.classify = lambda patents, model, **_: [result_of("", **api.changes) for _ in patents]
    texts = ["A drill bit", "EP 1 000 000 A1"]
    assert with_texts(texts, api, "default", True) == ["A drill bit", "Pump. A pump."]
    with pytest.raises(PageError, match="'EP 1 000 000 A1' is a publication number, and this"):
        with_texts(texts, api, "default", False)
    api.changes = {"error": {"code": "unknown_number", "message": "the EPO has no such patent"}}
    with pytest.raises(PageError, match="'EP 1 000 000 A1' was not found: the EPO has no such"):
        with_texts(texts, api, "default", True)


def test_a_model_is_learnt_used_and_packed(work: Work):
    model = learnt()
    assert model.report is not None
    assert model.classify("A bit")["probabilities"][0] == ("bits", 0.6)
    names = zipfile.ZipFile(io.BytesIO(model.bundle())).namelist()
    assert names == [f"{BUNDLE}/manifest.json"]


def test_progress_is_read_while_it_is_learnt(work: Work):
    work.gate.clear()
    model = start(TWO)
    wait_until(lambda: bool(work.folders))
    assert (model.running, model.share) == (True, 0.0)
    (work.folders[0] / PROGRESS).write_text("0.5", encoding="utf-8")
    assert model.share == 0.5
    with pytest.raises(PageError, match="Another visitor's categories are being learnt"):
        start(TWO)
    work.gate.set()
    wait_until(lambda: not model.running)


def test_an_error_of_the_training_is_a_sentence(work: Work):
    work.error = "the label 'x' has 10,000 characters"
    model = learnt()
    assert model.error == "The label 'x' has 10,000 characters."
    assert not work.folders[0].exists()


def test_a_folder_is_removed_with_its_session(work: Work):
    model = learnt()
    assert work.folders[0].exists()
    del model
    gc.collect()
    assert not work.folders[0].exists()


def test_a_session_that_ends_meanwhile_leaves_nothing(work: Work):
    work.gate.clear()
    model = start(TWO)
    wait_until(lambda: bool(work.folders))
    del model
    gc.collect()
    assert not work.folders[0].exists()
    work.error = "the categories were removed"
    work.gate.set()
    wait_until(lambda: not categories._turn.locked())
    assert not work.folders[0].exists()


def test_few_models_are_kept(work: Work):
    models = [learnt() for _ in range(MAX_KEPT + 1)]
    assert [model.kept for model in models] == [False] + [True] * MAX_KEPT
    assert sum(folder.exists() for folder in work.folders) == MAX_KEPT


@pytest.mark.parametrize(("value", "on"), [("", True), ("1", True), ("0", False), ("Off", False)])
def test_a_setting_switches_it_off(monkeypatch: pytest.MonkeyPatch, value: str, on: bool):
    monkeypatch.setenv(VARIABLE, value)
    assert is_available() == on


def test_nothing_is_offered_without_torch(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not is_available()


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the training is called with, in place of learning."""
    called: dict[str, Any] = {}

    def cross_validate(examples: Any, bundle: Any, *given: Any) -> Any:
        called["cross_validate"] = (examples, *given[:2])
        given[-1](1.0)
        return SimpleNamespace(model_dump=lambda **_: {"method": "combined"})

    def fit_few_shot(*given: Any) -> None:
        called["fit"] = given[3]
        given[-1](0.5)
        if "problem" in called:
            raise called["problem"]

    module = ModuleType("patclass.training.few_shot")
    vars(module).update(cross_validate=cross_validate, fit_few_shot=fit_few_shot)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr("patclass.bundle.read_bundle", lambda folder: folder)
    return called


@pytest.fixture
def task(tmp_path: Path) -> Path:
    content = {"examples": TWO.examples, "descriptions": {"bits": "drilling"}, "groups": None}
    (tmp_path / TASK).write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def test_the_process_measures_and_learns_from_all_examples(training: dict[str, Any], task: Path):
    assert fitting.learn(str(task)) == {"method": "combined"}
    assert training["cross_validate"] == (list(TWO.examples), {"bits": "drilling"}, None)
    assert training["fit"] == task / BUNDLE
    assert float((task / PROGRESS).read_text()) == pytest.approx(0.8)


def test_every_error_of_the_training_is_told(training: dict[str, Any], task: Path):
    training["problem"] = OutputError("the disk is full")
    with pytest.raises(DataError, match="the disk is full"):
        fitting.learn(str(task))


def test_the_process_ends_when_its_folder_is_removed(tmp_path: Path):
    with pytest.raises(DataError, match="removed"):
        fitting._note(tmp_path / "gone", 0.5)


@pytest.mark.parametrize(
    ("least", "precision"), [(0.1, 0.6), (0.2, 0.6), (0.21, 0.95), (0.7, 0.95), (0.71, None)]
)
def test_precision_and_recall_are_those_from_a_probability_on(
    least: float, precision: float | None
):
    point = at_probability(report_of("a")["curves"]["a"], least)
    assert (None if point is None else point["precision"]) == precision


@pytest.fixture
def app(work: Work, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    st.cache_resource.clear()
    monkeypatch.setattr(session, "Api", lambda address, key: WithKey(FakeApi(), key))
    code = "from patclass.ui.views import categories\ncategories.page()"
    yield AppTest.from_string(code, default_timeout=120).run()
    st.cache_resource.clear()
    st.cache_data.clear()


def field(found: Any, label: str) -> Any:
    return next(element for element in found if element.label.startswith(label))


def learn_on(app: AppTest) -> AppTest:
    """Click, and wait until it is learnt."""
    field(app.button, "Learn").click().run()
    if "categories" in app.session_state:
        model = app.session_state["categories"]
        wait_until(lambda: not model.running)
        wait_until(lambda: not categories._turn.locked())
        app.run()
    assert not app.exception
    return app


def words(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.warning, app.error, app.info)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def test_typed_categories_are_learnt_shown_and_used(app: AppTest, work: Work):
    field(app.text_input, "Name of category 1").input("Bits *")
    field(app.text_area, "Examples of category 1").input("A bit\nA drill\nA crown")
    field(app.text_input, "Name of category 2").input("Pumps")
    field(app.text_input, "Description of category 2").input("moving liquids")
    field(app.text_area, "Negative examples").input("A chair")
    learn_on(app)
    task = json.loads((work.folders[0] / TASK).read_text(encoding="utf-8"))
    assert task["categories"] == ["Bits *", "Pumps"]
    assert task["examples"][-1] == ["A chair", NONE]
    assert task["descriptions"] == {"Pumps": "moving liquids"}
    assert app.metric[0].value == "86 %"
    assert "95 % interval: 74 % to 93 %, on 10 examples" in words(app)
    assert list(app.dataframe[0].value["Category"]) == ["Bits *", "None of these"]
    field(app.text_area, "Text of a patent").input("A bit")
    field(app.button, "Classify").click().run()
    assert not app.exception
    assert work.texts == ["A bit"]
    assert "**Bits \\*** (60 %)" in words(app)
    assert "Few words." in words(app)


def test_one_category_is_divided_from_the_rest_by_a_slider(app: AppTest, work: Work):
    field(app.number_input, "Number of categories").set_value(1).run()
    field(app.text_input, "Name of category 1").input("Bits")
    field(app.text_area, "Examples of category 1").input("A bit\nA drill")
    field(app.text_area, "Negative examples").input("A chair")
    learn_on(app)
    assert "95 % belong to Bits (precision); 40 % of those" in words(app)
    field(app.text_area, "Text of a patent").input("A bit")
    field(app.button, "Classify").click().run()
    assert "**Bits** (60 %)" in words(app)
    app.slider[0].set_value(80).run()
    assert "No example reaches this probability" in words(app)
    assert "**None of these**: Bits has a probability of 60 %." in words(app)


def test_categories_without_examples_are_told(app: AppTest, work: Work):
    learn_on(app)
    assert app.error[0].value.startswith("2 of 2 categories have neither examples nor a")
    assert work.folders == []


def test_a_failure_is_told_in_one_line(app: AppTest, work: Work):
    work.error = "the categories 'a' and 'b' have the same examples; join them"
    for number in (1, 2):
        field(app.text_area, f"Examples of category {number}").input("The same")
    learn_on(app)
    assert app.error[0].value == "The categories 'a' and 'b' have the same examples; join them."


def test_a_table_is_learnt(app: AppTest, work: Work):
    app.segmented_control[0].set_value("Table").run()
    app.file_uploader[0].upload(
        "mine.csv", TABLE.replace(b",,pumps,EP1000000A1", b"Pump,,pumps,2"), "text/csv"
    ).run()
    assert not app.exception
    assert field(app.selectbox, "Category of negative").value == "rest"
    learn_on(app)
    task = json.loads((work.folders[0] / TASK).read_text(encoding="utf-8"))
    assert [label for _, label in task["examples"]] == ["bits", "pumps", NONE]
