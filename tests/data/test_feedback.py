"""Texts labelled by reviewers, in addition to the rows of the data."""

from pathlib import Path

import pytest
import torch

from conftest import patent_rows, write_splits
from patclass.core.settings import DataSettings
from patclass.cpc.tree import LabelSet, LabelTree
from patclass.data.codes import UnusableRowError
from patclass.data.column_labels import ColumnLabels, LabelScheme, NamedLabels
from patclass.data.corpus import load_corpus
from patclass.data.examples import Example, FeedbackExample
from patclass.data.labels import CpcLabels, LevelLabels, ListLabels
from patclass.training.loss import tree_loss

LOOM = FeedbackExample("feedback-1", "A loom with a heald.", "D03D", 2.0)


@pytest.fixture
def settings(tmp_path: Path) -> DataSettings:
    write_splits(tmp_path)
    return DataSettings(data=str(tmp_path))


def test_feedback_rows_are_appended_with_their_labels(settings: DataSettings):
    plain = load_corpus(settings)
    corpus = load_corpus(settings, feedback={"train": [LOOM], "validation": [LOOM]})
    assert plain.tree.at("section").codes == ["A", "C", "H"]
    assert corpus.tree.at("section").codes == ["A", "C", "D", "H"]
    assert len(corpus["train"]) == len(plain["train"]) + 1
    added = corpus["train"][-1]
    assert (added.id, added.text, added.weight) == ("feedback-1", LOOM.text, 2.0)
    assert corpus.tree.at("section")[added.stratum].code == "D"
    assert len(corpus["validation"]) == len(plain["validation"]) + 1
    assert len(corpus["test"]) == len(plain["test"])
    assert corpus.fingerprint() != plain.fingerprint()


def test_feedback_replaces_the_same_text_in_train(settings: DataSettings):
    row = patent_rows(90, seed=1)[0]
    text = f"{row['title']}. {row['abstract']}".upper()
    plain = load_corpus(settings)
    corpus = load_corpus(
        settings, feedback={"train": [FeedbackExample("feedback-1", text, "H04L")]}
    )
    assert len(corpus["train"]) == len(plain["train"])
    assert [e.id for e in corpus["train"] if e.text.lower() == text.lower()] == ["feedback-1"]


def test_an_invalid_label_is_rejected_with_its_reason(settings: DataSettings):
    corpus = load_corpus(
        settings, feedback={"train": [FeedbackExample("feedback-1", "A loom.", "no code")]}
    )
    assert "train (feedback): no CPC symbol" in corpus.reject_counts


def test_a_weight_changes_the_fingerprint(settings: DataSettings):
    prints = {
        load_corpus(
            settings, feedback={"train": [FeedbackExample("feedback-1", LOOM.text, "A", weight)]}
        ).fingerprint()
        for weight in (1.0, 2.0)
    }
    assert len(prints) == 2


SECTIONS = NamedLabels("label", ("A", "B"), LabelSet.of_codes(["A", "B"]))


@pytest.mark.parametrize(
    ("scheme", "code", "path"),
    [
        (ColumnLabels("kind"), "bio-tech", ("bio-tech",)),
        (SECTIONS, "B", ("B",)),
        (LevelLabels("section", (), (), ()), "H04L", ("H",)),
        (LevelLabels("class", (), (), ()), "H04L", ("H04",)),
        (LevelLabels("main_group", (), (), ()), "H04L 9/32", ("H04L9/00",)),
        (ListLabels(("A61", "H04L"), (), (), ()), "H04L", ("H04L",)),
        (ListLabels(("A61", "H04L9/00"), (), (), ()), "H04L9/32", ("H04L9/00",)),
        (CpcLabels((), (), ()), "H04L", ("H", "H04", "H04L")),
        (CpcLabels((), (), ()), "H", ("H",)),
        (CpcLabels((), (), (), "subclass"), "H04L9/32", ("H", "H04", "H04L")),
    ],
)
def test_a_code_becomes_a_label_of_the_scheme(
    scheme: LabelScheme, code: str, path: tuple[str, ...]
):
    label = scheme.label_of_code(code)
    assert (label.path, label.candidates) == (path, (path,))


@pytest.mark.parametrize(
    ("scheme", "code"),
    [
        (SECTIONS, "Z"),
        (LevelLabels("class", (), (), ()), "H"),
        (LevelLabels("section", (), (), ()), "no code"),
        (ListLabels(("A61", "H04L"), (), (), ()), "B42F"),
        (CpcLabels((), (), ()), "Y02E"),
    ],
)
def test_a_code_without_a_label_is_unusable(scheme: LabelScheme, code: str):
    with pytest.raises(UnusableRowError):
        scheme.label_of_code(code)


def test_a_row_of_weight_two_counts_as_two_rows():
    logits = torch.randn(3, 2, generator=torch.Generator().manual_seed(0))
    light, heavy = (Example("1", "t", (0,), (0,), weight=w) for w in (1.0, 2.0))
    other = Example("2", "t", (1,), (1,))
    tree = LabelTree.flat(LabelSet.of_codes("AH"))
    weighted = tree_loss(logits[:2], [heavy, other], tree)
    repeated = tree_loss(logits[[0, 0, 1]], [light, light, other], tree)
    torch.testing.assert_close(weighted, repeated)
