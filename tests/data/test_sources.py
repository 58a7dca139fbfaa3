"""Where rows come from: files, folders of splits, and data sets of the hub."""

from pathlib import Path

import datasets
import huggingface_hub.constants
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from conftest import write_jsonl
from patclass.core.errors import DataError
from patclass.core.settings import DataSettings
from patclass.cpc.scheme import SECTIONS
from patclass.cpc.tree import LabelSet
from patclass.data.corpus import load_corpus
from patclass.data.examples import SPLITS, Corpus
from patclass.data.sources import KNOWN_LABEL_NAMES, Source, open_source, sample_folder

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


CONFIGS = ("abstract", "patent")
SIZES = {"train": 27, "validation": 9, "test": 18}
# As the data set spells them, "Lightning" included.
NAMES = (
    "Human Necessities",
    "Performing Operations; Transporting",
    "Chemistry; Metallurgy",
    "Textiles; Paper",
    "Fixed Constructions",
    "Mechanical Engineering; Lightning; Heating; Weapons; Blasting",
    "Physics",
    "Electricity",
    "General tagging of new or cross-sectional technology",
)


@pytest.fixture(autouse=True)
def _no_home_and_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # The library reads the environment once, when it is imported.
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def shard(folder: Path, config: str, split: str) -> Path:
    return folder / config / f"{split}-00000-of-00001.parquet"


def repository(folder: Path, names: tuple[str, ...] | None = NAMES, **splits: int) -> Path:
    """A data set of two configs; without ``names`` its labels are plain integers."""
    sizes = splits or SIZES
    front: dict[str, list[object]] = {"configs": [], "dataset_info": []}
    for config in CONFIGS:
        (folder / config).mkdir(parents=True)
        files = [{"split": split, "path": f"{config}/{split}-*.parquet"} for split in sizes]
        front["configs"].append({"config_name": config, "data_files": files})
        kind = {"class_label": {"names": dict(enumerate(names))}} if names else "int64"
        features = [{"name": "text", "dtype": "string"}, {"name": "label", "dtype": kind}]
        front["dataset_info"].append({"config_name": config, "features": features})
        for split, size in sizes.items():
            texts = [f"the {config} of {split} row {row}" for row in range(size)]
            labels = pa.array([row % 9 for row in range(size)], pa.int64())
            pq.write_table(pa.table({"text": texts, "label": labels}), shard(folder, config, split))
    readme = f"---\n{yaml.safe_dump(front)}---\n\n# Patents\n"
    (folder / "README.md").write_text(readme, encoding="utf-8")
    return folder


def labels_of(corpus: Corpus) -> LabelSet:
    """The only level of a flat label set, which is checked to have one leaf per label."""
    assert corpus.tree.paths == tuple((code,) for code in corpus.tree.at("label").codes)
    assert all(row.leaves == row.y_true for rows in corpus.splits.values() for row in rows)
    return corpus.tree.at("label")


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    return repository(tmp_path / "patents")


@pytest.mark.parametrize("config", CONFIGS)
def test_a_config_provides_its_own_texts_in_all_splits(hub: Path, config: str):
    source = open_source(f"{hub}:{config}")
    assert source.name == f"{hub}:{config}"
    assert source.columns == ("text", "label")
    assert source.names == {"label": NAMES}
    for split, size in SIZES.items():
        rows = list(source.splits[split]())
        assert [row.number for row in rows] == list(range(1, size + 1))
        assert [row.fields["text"] for row in rows] == [
            f"the {config} of {split} row {number}" for number in range(size)
        ]


def test_the_nine_labels_are_the_sections_with_their_proper_names(hub: Path):
    corpus = load_corpus(DataSettings(data=f"{hub}:abstract"))
    assert labels_of(corpus).codes == list("ABCDEFGHY")
    assert [label.name for label in labels_of(corpus)] == list(SECTIONS.values())
    assert {split: len(corpus[split]) for split in SPLITS} == SIZES
    assert [example.y_true for example in corpus["test"]] == [(n,) for n in range(9)] * 2
    assert str(corpus.view) == "text"
    assert corpus.rejects == ()
    assert corpus.notes == ()


def test_an_unlabelled_row_is_rejected(hub: Path):
    path = shard(hub, "abstract", "train")
    texts = [f"text {row}" for row in range(4)]
    pq.write_table(pa.table({"text": texts, "label": pa.array([0, -1, 1, -1], pa.int64())}), path)
    corpus = load_corpus(DataSettings(data=f"{hub}:abstract"))
    assert corpus.reject_counts == {"train: no label": 2}
    assert len(corpus["train"]) == 2


@pytest.mark.parametrize("config", CONFIGS)
def test_plain_integers_of_the_known_data_set_are_the_sections(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    repository(tmp_path / "ccdv" / "patent-classification", names=None)
    monkeypatch.chdir(tmp_path)
    spec = f"ccdv/patent-classification:{config}"
    assert open_source(spec).names == KNOWN_LABEL_NAMES["ccdv/patent-classification"]
    corpus = load_corpus(DataSettings(data=spec))
    assert [(label.code, label.name) for label in labels_of(corpus)] == list(SECTIONS.items())
    assert [example.y_true for example in corpus["validation"]] == [(n,) for n in range(9)]


def test_plain_integers_of_other_data_sets_stay_integers(tmp_path: Path):
    folder = repository(tmp_path / "other", names=None)
    corpus = load_corpus(DataSettings(data=f"{folder}:abstract"))
    assert labels_of(corpus).codes == [str(number) for number in range(9)]


def test_names_that_are_not_sections_are_unchanged(tmp_path: Path):
    names = tuple(f"topic {letter}" for letter in "rstuvwxyz")
    corpus = load_corpus(DataSettings(data=f"{repository(tmp_path / 'other', names)}:abstract"))
    assert labels_of(corpus).codes == list(names)


def test_an_unknown_config_is_reported_with_the_available_ones(hub: Path):
    with pytest.raises(DataError, match=r"with config 'claims'.*'abstract', 'patent'"):
        open_source(f"{hub}:claims")


def test_a_missing_config_is_requested_with_the_available_ones(hub: Path):
    with pytest.raises(DataError, match=r"(?s)cannot open '.*patents'.*'abstract', 'patent'"):
        open_source(str(hub))


def test_missing_files_of_a_config_are_a_data_error(hub: Path):
    shard(hub, "abstract", "test").unlink()
    with pytest.raises(DataError, match="patents"):
        open_source(f"{hub}:abstract")


def test_a_damaged_file_of_a_config_is_a_data_error(hub: Path):
    path = shard(hub, "abstract", "train")
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match="patents"):
        open_source(f"{hub}:abstract")


def test_splits_of_other_names_are_listed_as_ignored(tmp_path: Path):
    source = open_source(f"{repository(tmp_path / 'more', train=9, extra=9)}:abstract")
    assert set(source.splits) == {"train"}
    assert source.ignored == ("extra",)


def test_a_data_set_without_any_known_split_is_refused(tmp_path: Path):
    folder = repository(tmp_path / "odd", holdout=9)
    with pytest.raises(DataError, match=r"no split train, validation or test, only \['holdout'\]"):
        open_source(f"{folder}:abstract")


@pytest.mark.parametrize(
    "spec", ["nobody/nothing", "nobody/nothing:abstract", "nobody/nothing:abstract@v1.0"]
)
def test_an_unreachable_hub_name_is_reported_with_a_remedy(spec: str):
    with pytest.raises(DataError, match=r"cannot load 'nobody/nothing'.*give a local file"):
        open_source(spec)
