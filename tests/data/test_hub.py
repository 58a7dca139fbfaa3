"""Local repositories in the hub's layout stand in for ccdv/patent-classification."""

from pathlib import Path

import datasets
import huggingface_hub.constants
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from patclass.core.errors import DataError
from patclass.core.settings import DataSettings
from patclass.cpc.scheme import SECTIONS
from patclass.cpc.tree import LabelSet
from patclass.data.corpus import load_corpus
from patclass.data.examples import SPLITS, Corpus
from patclass.data.hub import KNOWN_LABEL_NAMES
from patclass.data.sources import open_source

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
