"""The page of a report: self-contained, safe and complete."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from patclass.data.examples import Example, Facts
from patclass.evaluation.metrics import ClassMetrics
from patclass.evaluation.pages import class_groups, html_report, official_titles
from patclass.evaluation.report import LevelReport, Report, level_report
from patclass.predictor.scored import LabelledPredictions

VOID = {"meta", "img"}
HOSTILE = "<script>alert(1)</script>\"'>&amp;<img src=http://evil.example/x.png>"


class Page(HTMLParser):
    """The elements of a page, its text, and unclosed elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text_parts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text_parts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.text_parts).split())


def level(labels: int, rows: int = 300, name: str = "L{}", title: str | None = None) -> LevelReport:
    generator = np.random.default_rng(labels)
    y_true = np.arange(rows) % labels
    table = generator.dirichlet(np.ones(labels), rows).astype(np.float32)
    table[np.arange(rows), y_true] += 0.3
    examples = [
        Example(f"P{n}", "x" * (n % 50 + 1), (int(t),), (0,), None, Facts(title, 2000, title))
        for n, t in enumerate(y_true)
    ]
    codes = [name.format(n) for n in range(labels)]
    level_answers = LabelledPredictions(codes, examples, np.arange(rows), y_true, table / 1.3)
    return level_report(level_answers, level_answers, {}, table > 0.2)


@pytest.fixture(scope="module")
def page(report: Report) -> Page:
    return Page(html_report(report, "A title", {"base model": "tiny"}))


def test_the_page_is_well_formed_and_ids_are_unique(page: Page):
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [a["href"] for tag, a in page.elements if tag == "a"]
    assert links
    assert {(link or "").removeprefix("#") for link in links} <= set(ids)


def test_the_page_has_no_external_references(report: Report, page: Page):
    assert not {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object", "base"}
    for _, attributes in page.elements:
        for name in ("src", "href", "srcset", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/svg+xml;base64,"))
    source = html_report(report, "A title", {})
    assert "http" not in source
    assert "url(" not in source
    assert "@import" not in source


def test_all_sections_are_there(page: Page):
    for heading in (
        "At a glance",
        "Level: section",
        "Level: class",
        "Figures and baselines",
        "Results by label",
        "Confusion matrix",
        "Confidence",
        "Operating points",
        "Label sets",
        "Results by subset",
        "Most confident errors",
        "All codes",
        "About this report",
    ):
        assert heading in page.text
    assert "TF-IDF + regression" in page.text
    assert "base model tiny" in page.text


def test_the_conclusion_comes_first(report: Report, page: Page):
    head, _, rest = report.verdict.partition(": ")
    assert f"A title {head} · {rest}" in page.text


def test_pictures_have_text_alternatives(page: Page):
    pictures = [attributes for tag, attributes in page.elements if tag == "img"]
    assert len(pictures) == 2 * 2
    assert all(len(attributes["alt"] or "") > 40 for attributes in pictures)


def test_cpc_codes_are_shown_with_their_titles(page: Page):
    labels, rest = page.text.partition("Results by label")[2].split("Confusion matrix", 1)
    assert "A Human necessities" in labels
    assert "title of the true label" in rest
    mistakes = page.text.rpartition("Most confident errors")[2]
    assert "A61 Medical or veterinary science; hygiene" in mistakes


def test_only_cpc_codes_have_titles():
    assert official_titles("label", ["A", "D"]) == {
        "A": "Human necessities",
        "D": "Textiles; paper",
    }
    assert official_titles("class", ["A01", "A02"]).keys() == {"A01"}
    assert official_titles("label", ["A", "A+"]) == {}


def test_a_long_title_is_truncated_with_its_full_text_available(page: Page):
    whole = official_titles("class", ["B31"])["B31"]
    assert whole in {attributes.get("title") for _, attributes in page.elements}
    assert f"B31 {whole[:60]}" in page.text
    assert whole not in page.text


def test_html_in_labels_is_escaped():
    hostile = level(3, name=HOSTILE + "{}", title=HOSTILE)
    report = Report(split="test", train_rows=1, leaked_rows=0, level=HOSTILE,
                    levels={HOSTILE: hostile})  # fmt: skip
    page = Page(html_report(report, HOSTILE, {HOSTILE: HOSTILE}))
    tags = [tag for tag, _ in page.elements]
    assert "script" not in tags
    assert tags.count("img") == 2
    assert page.open == []
    assert "<script>alert(1)</script>" in page.text


def test_many_labels_show_the_extremes_and_the_confused_pairs():
    report = Report(split="test", train_rows=1, leaked_rows=2, level="label",
                    levels={"label": level(60, rows=900)})  # fmt: skip
    page = Page(html_report(report, "Many", {}))
    assert "The 20 weakest labels with at least 10 rows" in page.text
    assert "The 20 best" in page.text
    assert "Most confused labels" in page.text
    assert "Confusion matrix" not in page.text
    assert "2 texts of test also stand in train" in page.text
    assert "not compared" in page.text


def test_the_same_figures_make_the_same_bytes(report: Report):
    assert html_report(report, "A title", {}) == html_report(report, "A title", {})


def test_the_page_supports_print_dark_mode_and_small_screens(report: Report):
    source = html_report(report, "A title", {})
    assert "@media print" in source
    assert "prefers-color-scheme: dark" in source
    assert "width=device-width" in source
    # Each table scrolls separately.
    assert len(re.findall(r'<div class="scroll"><table', source)) == source.count("<table")


def classes(count: int, support: int = 20) -> list[ClassMetrics]:
    return [
        ClassMetrics(code=str(n), precision=0, recall=0, f1=n / 100, support=support)
        for n in range(count)
    ]


def test_few_labels_keep_their_order_without_those_that_have_no_rows():
    shown = class_groups([*classes(3), *classes(2, support=0)])
    assert [c.code for c in shown[""]] == ["0", "1", "2"]


def test_labels_with_few_rows_are_not_ranked_among_many():
    weakest, best = class_groups([*classes(10, support=9), *classes(70)]).values()
    assert [c.code for c in weakest] == [str(n) for n in range(20)]
    assert [c.code for c in best] == [str(n) for n in range(69, 49, -1)]
    assert {c.support for c in [*weakest, *best]} == {20}


def test_no_label_is_among_both_the_weakest_and_the_best():
    (ranked,) = class_groups([*classes(30), *classes(20, support=1)]).values()
    assert len(ranked) == 30
