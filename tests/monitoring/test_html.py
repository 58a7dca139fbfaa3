"""The page of a monitor: whole, escaped, and asking nobody."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import numpy as np
import pytest

from monitoring_data import MIX, Stream, shifted
from patclass.monitoring.accuracy import Known
from patclass.monitoring.drift import SIGNALS, Assessment, assess
from patclass.monitoring.html import html_monitor
from patclass.monitoring.monitor import MonitoredModel
from patclass.predictor.reference import Reference

HOSTILE = "<script>alert('1')</script>&"
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Stream().draw(2000, np.random.default_rng(0)).reference()


def windows_of(reference: Reference, *streams: Stream) -> Sequence[Assessment]:
    """One window a day."""
    found = []
    for day, stream in enumerate(streams):
        rows = stream.draw(500, np.random.default_rng(day)).rows()
        rows = [replace(row, created=BEGIN + timedelta(days=day)) for row in rows]
        known = {row.text_sha256: Known(row.label) for row in rows[: 20 * day]}
        found.append(assess(reference, rows, day, known))
    return found


class Reader(HTMLParser):
    """Tags, what they refer to, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def test_the_page_says_what_has_shifted_and_needs_nothing_else(reference: Reference):
    live = Stream(mix=shifted(MIX, 3, 20))
    page = html_monitor(
        MonitoredModel("final_model", "v1", reference),
        windows_of(reference, Stream(), Stream(), live, live),
    )
    found = read(page)
    assert "script" not in found.tags
    assert found.links
    assert all(link.startswith("data:image/") for link in found.links)
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org)", page)
    assert "Shifted: in the last 500 answers labels differ" in found.text
    assert "2 of which ring" in found.text
    assert "about one window in 200 would" in found.text
    assert all(signal in found.text for signal in SIGNALS)


@pytest.mark.parametrize("windows", [1, 3])
def test_what_is_usual_is_called_so(reference: Reference, windows: int):
    page = html_monitor(
        MonitoredModel("m", "v1", reference), windows_of(reference, *[Stream()] * windows)
    )
    assert "Usual: the last 500 answers do not differ" in read(page).text


def test_windows_of_the_same_moment_and_without_signals_are_drawn(reference: Reference):
    rows = Stream().draw(100, np.random.default_rng(0)).rows()
    rows = [replace(row, oov_rate=None, novelty=None) for row in rows]
    windows = [assess(reference, rows, number) for number in range(2)]
    assert "Usual" in read(html_monitor(MonitoredModel("m", "v1", reference), windows)).text


def test_names_and_labels_are_escaped(reference: Reference):
    codes = {"section": (HOSTILE, *reference.codes["section"][1:])}
    hostile = replace(reference, codes=codes)
    rows = [
        replace(row, label=HOSTILE, levels={"section": (HOSTILE, 0.9)})
        for row in Stream().draw(100, np.random.default_rng(0)).rows()
    ]
    page = html_monitor(MonitoredModel(HOSTILE, HOSTILE, hostile), [assess(hostile, rows, 1)])
    assert "<script" not in page
    found = read(page)
    assert "script" not in found.tags
    assert HOSTILE in found.text
