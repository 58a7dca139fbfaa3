from pathlib import Path

import pytest

from conftest import write_jsonl
from patclass.core.errors import DataError
from patclass.data.examples import SPLITS
from patclass.data.sources import Source, open_source, sample_folder

CSV = "id,text,label\n1,a valve,F\n"


def fill(folder: Path, *names: str) -> Path:
    """CSV files whose text is their own name."""
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text(f"id,text,label\n1,{name},F\n")
    return folder


def texts(source: Source) -> dict[str, list[str]]:
    return {split: [row.fields["text"] for row in read()] for split, read in source.splits.items()}


def test_the_sample_is_a_source_of_its_own():
    source = open_source("sample")
    assert source.name == "sample"
    assert set(source.splits) == {"train", "test"}
    assert {"id", "title", "abstract", "section", "class", "subclass"} == set(source.columns)
    assert sample_folder().is_dir()


def test_the_sample_needs_no_folder_to_run_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert next(open_source("sample").splits["train"]()).error is None


def test_a_single_file_is_train(tmp_path: Path):
    path = tmp_path / "patents.csv"
    path.write_text(CSV)
    source = open_source(str(path))
    assert (source.name, source.columns) == ("patents.csv", ("id", "text", "label"))
    assert texts(source) == {"train": ["a valve"]}


def test_a_split_can_be_read_more_than_once(tmp_path: Path):
    source = open_source(str(fill(tmp_path, "train.csv")))
    assert texts(source) == texts(source) == {"train": ["train.csv"]}


@pytest.mark.parametrize(
    "names",
    [
        ("train.csv", "validation.csv", "test.csv"),
        ("patents-train.csv", "patents-val.csv", "patents-test.csv"),
        ("Training_2024.csv", "dev.csv", "testing.CSV"),
        ("train1.csv", "valid-00000-of-00001.csv", "my.test.csv"),
    ],
)
def test_splits_are_recognised_by_words_in_file_names(tmp_path: Path, names: tuple[str, str, str]):
    source = open_source(str(fill(tmp_path / "patents", *names)))
    assert source.name == "patents"
    assert texts(source) == {split: [name] for split, name in zip(SPLITS, names, strict=True)}


def test_a_word_that_only_contains_the_name_of_a_split_is_not_that_split(tmp_path: Path):
    source = open_source(str(fill(tmp_path, "train.csv", "latest.csv", "constraint.csv")))
    assert set(source.splits) == {"train"}
    assert source.ignored == ("constraint.csv", "latest.csv")


def test_files_of_other_formats_are_skipped(tmp_path: Path):
    fill(tmp_path, "train.csv")
    (tmp_path / "train.txt").write_text("notes")
    (tmp_path / "README.md").write_text("# Patents\n\nconfigs: none\n")
    source = open_source(str(tmp_path))
    assert set(source.splits) == {"train"}
    assert source.ignored == ()


def test_the_columns_of_a_folder_are_the_union_over_its_files(tmp_path: Path):
    fill(tmp_path, "train.csv")
    write_jsonl(tmp_path / "test.jsonl", [{"text": "a", "codes": ["H04L"]}])
    assert open_source(str(tmp_path)).columns == ("id", "text", "label", "codes", "cpc")


def test_two_files_for_one_split_are_refused_by_name(tmp_path: Path):
    fill(tmp_path, "train.csv", "train-old.csv")
    with pytest.raises(DataError, match=r"has 2 files for 'train': train-old\.csv, train\.csv"):
        open_source(str(tmp_path))


@pytest.mark.parametrize("names", [(), ("patents.csv",), ("validation.csv",)])
def test_a_folder_without_train_and_test_is_refused(tmp_path: Path, names: tuple[str, ...]):
    with pytest.raises(DataError, match=r"has no train or test file; name them e\.g\. train\.csv"):
        open_source(str(fill(tmp_path, *names)))


def test_an_empty_file_in_a_folder_is_named(tmp_path: Path):
    fill(tmp_path, "train.csv")
    (tmp_path / "test.csv").touch()
    with pytest.raises(DataError, match=r"test\.csv is empty"):
        open_source(str(tmp_path))


@pytest.mark.parametrize(
    "spec", ["missing.csv", "data/missing.parquet", "no/such/folder", "a b/c", "nothing", "?"]
)
def test_a_source_that_does_not_exist_and_is_not_a_hub_name_is_refused(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"no such data: '.*'\. Give an existing file"):
        open_source(spec)


@pytest.mark.parametrize("spec", ["", ":abstract"])
def test_an_empty_name_is_not_the_current_folder(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(fill(tmp_path, "train.csv"))
    with pytest.raises(DataError, match="no such data"):
        open_source(spec)


@pytest.mark.parametrize("name", ["train.csv", "."])
def test_a_config_of_a_source_without_configs_is_refused(tmp_path: Path, name: str):
    fill(tmp_path, "train.csv")
    with pytest.raises(DataError, match="abstract"):
        open_source(f"{tmp_path / name}:abstract")


def test_a_file_name_may_contain_a_colon(tmp_path: Path):
    path = tmp_path / "patents 12:30.csv"
    path.write_text(CSV)
    assert texts(open_source(str(path))) == {"train": ["a valve"]}


def test_a_name_too_long_for_any_file_is_refused():
    with pytest.raises(DataError, match="no such data"):
        open_source("x" * 300)


def test_a_file_named_for_two_splits_is_refused(tmp_path: Path):
    fill(tmp_path, "train_val.csv", "test.csv")
    with pytest.raises(DataError, match=r"train_val\.csv is named for two splits"):
        open_source(str(tmp_path))
