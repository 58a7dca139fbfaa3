"""What an encoder makes of a task, by hand where that is possible."""

from pathlib import Path

import numpy as np
import pytest

from conftest import patent_rows
from patclass.bundle import Bundle, read_bundle
from patclass.core.settings import DataSettings, TrainSettings
from patclass.training.categories import Categories
from patclass.training.few_shot_encoder import FewShotEncoder, usual_texts
from patclass.training.start import start_parts, start_settings

ROWS = patent_rows(24, seed=4)
EXAMPLES = [(row["abstract"], row["main_code"][0]) for row in ROWS]


@pytest.fixture(scope="module")
def parent(bundle: Path) -> Bundle:
    return read_bundle(bundle)


def encoder(parent: Bundle, share: float, seen: list[int]) -> FewShotEncoder:
    task = Categories.of(EXAMPLES, {"A": "plough soil"}, None, "abstract")
    settings = start_settings(parent, TrainSettings(data=DataSettings(data="examples")))
    parts = start_parts(parent, "cpu")
    return FewShotEncoder(task, parent, parts, settings, share, seen.append)


def test_the_whole_adapter_gives_the_embeddings_of_the_bundle(parent: Bundle):
    seen: list[int] = []
    found = encoder(parent, 1.0, seen).embeddings
    expected = parent.load_pipeline("cpu").run([text for text, _ in EXAMPLES]).embeddings
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert sum(seen) == len(EXAMPLES)


def test_without_the_adapter_they_are_others(parent: Bundle):
    whole, none = (encoder(parent, share, []).embeddings for share in (1.0, 0.0))
    assert not np.allclose(whole, none, atol=1e-2)


def test_without_examples_a_head_follows_the_names(parent: Bundle):
    found = encoder(parent, 1.0, [])
    nothing = np.arange(0)
    head = found.head("names", nothing)
    assert head.weight.shape == (len(found.task.codes), found.embeddings.shape[1])
    assert np.array_equal(found.head("combined", nothing).weight, head.weight)
    assert not np.array_equal(found.head("combined", np.arange(24)).weight, head.weight)


def test_usual_texts_are_patents_of_the_sample():
    assert len(usual_texts()) == 20
    assert all(len(text.split()) > 5 for text in usual_texts())
