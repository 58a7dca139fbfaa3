import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from conftest import SHARED, write_jsonl
from patclass.core.errors import DataError
from patclass.core.settings import DataSettings
from patclass.data.cleaning import MAX_CHARS
from patclass.data.corpus import load_corpus
from patclass.data.examples import (
    SPLITS,
    UNKNOWN_LABEL,
    Corpus,
    Example,
    Facts,
    Reject,
    write_rejects,
)


def load(path: Path, **more: object) -> Corpus:
    return load_corpus(DataSettings(data=str(path), **more))


def labelled(count: int, codes: str = "AB", start: int = 0) -> list[dict[str, object]]:
    """Rows with distinct texts and alternating labels."""
    return [
        {"id": f"P{number}", "text": f"text {number}", "label": codes[number % len(codes)]}
        for number in range(start, start + count)
    ]


def own_notes(corpus: Corpus) -> tuple[str, ...]:
    """The notes without what was recognised of each file."""
    return tuple(note for note in corpus.notes if "read as" not in note)


def three_splits(folder: Path, **rows: list[dict[str, object]]) -> Path:
    """A folder of three splits; splits that are not given have default rows."""
    folder.mkdir(exist_ok=True)
    for number, split in enumerate(SPLITS):
        write_jsonl(folder / f"{split}.jsonl", rows.get(split, labelled(8, start=100 * number)))
    return folder


def known(corpus: Corpus) -> list[str]:
    """The codes of the finest level, which for a flat label set are all codes."""
    return corpus.tree.at(corpus.tree.finest).codes


def codes(corpus: Corpus, split: str = "train") -> list[str]:
    """The code of each row of a flat label set; each row has exactly one leaf."""
    assert corpus.tree.paths == tuple((code,) for code in known(corpus))
    assert all(example.y_true == example.leaves for example in corpus[split])
    return [known(corpus)[position] for (position,) in (row.y_true for row in corpus[split])]


def texts(corpus: Corpus, split: str = "train") -> list[str]:
    return [example.text for example in corpus[split]]


# Text and labels


def test_rows_become_examples_in_order(tmp_path: Path):
    corpus = load(three_splits(tmp_path / "mine"))
    assert corpus.source == "mine"
    assert corpus["train"][:2] == [
        Example("P0", "text 0", (0,), (0,)),
        Example("P1", "text 1", (1,), (1,)),
    ]
    assert known(corpus) == ["A", "B"]
    assert texts(corpus, "test") == [f"text {number}" for number in range(200, 208)]
    assert (corpus.rejects, own_notes(corpus), corpus.leaked("test")) == ((), (), 0)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ("auto", "The plough. It cuts soil."),
        ("title+abstract", "The plough. It cuts soil."),
        ("abstract", "It cuts soil."),
        ("claims+title", "1. A plough; The plough"),
    ],
)
def test_the_text_view_chooses_and_joins_columns(tmp_path: Path, view: str, expected: str):
    fields = {"title": "The plough", "abstract": "It cuts soil.", "claims": "1. A plough;"}
    rows = [fields | {"id": number, "label": "AB"[number % 2]} for number in range(10)]
    corpus = load(
        three_splits(tmp_path / "mine", train=rows, validation=rows, test=rows), text=view
    )
    assert texts(corpus) == [expected] * 10
    assert str(corpus.view) == view.replace("auto", "title+abstract")


def test_a_row_without_an_id_is_identified_by_its_position(tmp_path: Path):
    rows = [{key: row[key] for key in ("text", "label")} for row in labelled(6)]
    rows[1]["publication_number"] = "US1"
    corpus = load(three_splits(tmp_path / "mine", train=rows))
    assert [example.id for example in corpus["train"]] == ["1", "US1", "3", "4", "5", "6"]


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("auto", ["A", "C", "H"]),
        ("section", ["A", "C", "H"]),
        ("class", ["A01", "A02", "C01", "C02", "H01", "H02"]),
        ("subclass", ["A01B", "A02B", "C01B", "C02B", "H01B", "H02B"]),
    ],
)
def test_the_main_code_gives_the_label_of_the_level(patents: Path, level: str, expected: list[str]):
    corpus = load(patents, labels=level)
    assert known(corpus) == expected
    assert codes(corpus)[:2] == [expected[0], expected[len(expected) // 3 * 2 - 1]]
    assert corpus.rejects == ()


def test_the_column_of_a_level_gives_the_label(tmp_path: Path):
    rows = [{"text": f"text {number}", "class": f"H0{number % 3 + 1}"} for number in range(30)]
    corpus = load(write_jsonl(tmp_path / "a.jsonl", rows), labels="class")
    assert known(corpus) == ["H01", "H02", "H03"]


def test_unanimous_codes_give_the_label_and_ambiguous_ones_are_rejected(tmp_path: Path):
    cells = [["A61K", "A61P 3/00"], ["G06F"], ["A61K", "G06F"], [], None]
    rows = [{"text": f"text {number}", "codes": cells[number % 5]} for number in range(20)]
    folder = three_splits(tmp_path / "mine", train=rows, validation=rows, test=rows)
    corpus = load(folder, labels="class")
    assert codes(corpus) == ["A61", "G06"] * 4
    assert corpus.reject_counts == {
        f"{split}: {reason}": count
        for split in sorted(SPLITS)
        for reason, count in (("ambiguous label", 4), ("no label", 8))
    }


def test_a_code_column_of_an_unusual_name_gives_the_label(tmp_path: Path):
    rows = [
        {"text": f"text {n}", "symbols": "H04L 9/00; H04W" if n % 2 else "A61K"} for n in range(20)
    ]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    assert known(load(path, labels="class", codes="symbols")) == ["A61", "H04"]


def test_a_list_of_codes_is_a_label_set_of_its_own(patents: Path):
    corpus = load(patents, labels="H02,A01,C")
    assert known(corpus) == ["H02", "A01", "C"]
    assert set(codes(corpus)) == {"H02", "A01", "C"}
    assert corpus.reject_counts["train: label not in the list"] == 30


def test_any_column_can_be_the_label(tmp_path: Path):
    rows = [{"text": f"text {n}", "topic": ["pumps", "valves"][n % 2]} for n in range(20)]
    corpus = load(write_jsonl(tmp_path / "a.jsonl", rows), labels="topic")
    assert known(corpus) == ["pumps", "valves"]


# Rejects


def messy(tmp_path: Path) -> Path:
    rows = labelled(12)
    rows[2]["text"] = " "
    rows[3]["label"] = None
    rows[5]["text"] = "x" * (MAX_CHARS + 1)
    folder = three_splits(tmp_path / "mine", train=rows)
    with (folder / "train.jsonl").open("ab") as file:
        file.write(b'{"id": "P99", "text": "caf\xe9 \xc3\x96", "label": "A"}\n[]\n')
    return folder


def test_unusable_rows_are_counted_by_reason(tmp_path: Path):
    corpus = load(messy(tmp_path))
    assert corpus.reject_counts == {
        "train: no label": 1,
        "train: no text": 1,
        f"train: text longer than {MAX_CHARS} characters": 1,
        "train: undecodable: not UTF-8": 1,
        "train: undecodable: not a JSON object": 1,
    }
    assert len(corpus["train"]) + len(corpus.rejects) == 14


def test_rejects_are_written_with_their_position_and_without_their_text(tmp_path: Path):
    corpus = load(messy(tmp_path))
    write_rejects(corpus.rejects, tmp_path / "rejects.jsonl")
    lines = (tmp_path / "rejects.jsonl").read_text(encoding="utf-8").splitlines()
    assert [Reject(**json.loads(line)) for line in lines] == list(corpus.rejects)
    assert [json.loads(line)["row"] for line in lines] == [3, 4, 6, 13, 14]
    assert json.loads(lines[0]) == {"split": "train", "row": 3, "id": "P2", "reason": "no text"}


def test_rejects_keep_any_characters_of_an_id(tmp_path: Path):
    reject = Reject("test", 1, "ÄÖ-特許 \u2028", "no text")
    write_rejects([reject], tmp_path / "rejects.jsonl")
    assert Reject(**json.loads((tmp_path / "rejects.jsonl").read_bytes())) == reject


def test_a_lone_surrogate_does_not_stop_the_run(tmp_path: Path):
    rows = labelled(12)
    rows[3] |= {"id": "\ud800", "text": ""}
    rows[4]["text"] = "a \udfff b"
    corpus = load(three_splits(tmp_path / "mine", train=rows))
    write_rejects(corpus.rejects, tmp_path / "rejects.jsonl")
    assert [text.encode() for text in texts(corpus)]


def test_a_label_missing_from_train_is_a_reject_in_the_other_splits(tmp_path: Path):
    folder = three_splits(
        tmp_path / "mine", validation=labelled(4, "BA"), test=labelled(9, "ABC", start=600)
    )
    corpus = load(folder)
    assert known(corpus) == ["A", "B"]
    assert codes(corpus, "test") == ["A", "B"] * 3
    assert codes(corpus, "validation") == ["B", "A"] * 2
    assert corpus.reject_counts == {"test: label 'C' not known": 3}
    assert [(reject.row, reject.id) for reject in corpus.rejects] == [
        (3, "P602"),
        (6, "P605"),
        (9, "P608"),
    ]


# Data that cannot be loaded


def test_an_unknown_level_is_named(patents: Path):
    with pytest.raises(DataError, match="unknown label level or column 'klass': use cpc, section"):
        load(patents, labels="klass")


def test_a_missing_text_column_is_named(patents: Path):
    with pytest.raises(DataError, match="no column 'claims' for the text"):
        load(patents, text="title+claims")


def test_a_missing_code_column_is_named(patents: Path):
    with pytest.raises(DataError, match=r"codes 'symbols': train\.jsonl has no such column"):
        load(patents, codes="symbols")


def test_data_with_a_single_class_are_refused(tmp_path: Path):
    path = write_jsonl(tmp_path / "a.jsonl", labelled(8, "A"))
    with pytest.raises(DataError, match=r"a\.jsonl has one class only: 'A' in all 8 usable"):
        load(path)


def test_no_usable_training_row_is_refused_with_the_reasons(tmp_path: Path):
    rows = [row | {"text": None} for row in labelled(8)] + [{"id": "x", "text": "a", "label": ""}]
    with pytest.raises(DataError, match=r"no usable training row \(no text: 8; no label: 1\)"):
        load(write_jsonl(tmp_path / "a.jsonl", rows))


def test_data_without_a_train_split_are_refused(tmp_path: Path):
    write_jsonl(tmp_path / "test.jsonl", labelled(8))
    with pytest.raises(DataError, match=r"no usable training row \(no train split\)"):
        load(tmp_path)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_split_without_a_usable_row_is_refused(tmp_path: Path, split: str):
    folder = three_splits(tmp_path / "mine", **{split: labelled(8, "C")})
    with pytest.raises(DataError, match=f"the {split} split has no usable row"):
        load(folder)


def test_an_empty_file_is_named(tmp_path: Path):
    (tmp_path / "a.csv").touch()
    with pytest.raises(DataError, match=r"a\.csv is empty"):
        load(tmp_path / "a.csv")


def test_a_file_with_a_header_alone_has_no_usable_row(tmp_path: Path):
    (tmp_path / "a.csv").write_text("id,text,label\n")
    with pytest.raises(DataError, match=r"a\.csv has no usable training row"):
        load(tmp_path / "a.csv")


@pytest.mark.parametrize("count", [2, 3])
def test_too_few_rows_to_hold_out_are_refused(tmp_path: Path, count: int):
    with pytest.raises(DataError):
        load(write_jsonl(tmp_path / "a.jsonl", labelled(count)))


def test_a_row_limit_that_leaves_one_label_is_refused(tmp_path: Path):
    path = write_jsonl(tmp_path / "a.jsonl", labelled(100, "AAAAAAAAAB"))
    with pytest.raises(DataError):
        load(path, train_rows=2)


# Splits


def test_missing_splits_are_held_out_from_train_by_stratified_sampling(tmp_path: Path):
    corpus = load(write_jsonl(tmp_path / "a.jsonl", labelled(400, "AAAB")))
    assert {split: Counter(codes(corpus, split)) for split in SPLITS} == {
        "train": {"A": 243, "B": 81},
        "validation": {"A": 27, "B": 9},
        "test": {"A": 30, "B": 10},
    }
    everything = [text for split in SPLITS for text in texts(corpus, split)]
    assert sorted(everything) == sorted(f"text {number}" for number in range(400))
    assert own_notes(corpus) == (
        "no test split: 40 rows of train set aside for it",
        "no validation split: 36 rows of train set aside for it",
    )


def test_only_the_missing_split_is_held_out(tmp_path: Path):
    folder = three_splits(tmp_path / "mine", train=labelled(50))
    (folder / "validation.jsonl").unlink()
    corpus = load(folder)
    assert texts(corpus, "test") == [f"text {number}" for number in range(200, 208)]
    assert (len(corpus["train"]), len(corpus["validation"])) == (45, 5)
    assert own_notes(corpus) == ("no validation split: 5 rows of train set aside for it",)


def test_the_held_out_rows_depend_on_the_seed_alone(tmp_path: Path):
    path = write_jsonl(tmp_path / "a.jsonl", labelled(200))
    assert load(path, seed=1).splits == load(path, seed=1).splits
    assert set(texts(load(path, seed=1), "test")) != set(texts(load(path, seed=2), "test"))


def test_files_that_are_not_a_split_are_reported(tmp_path: Path):
    folder = three_splits(tmp_path / "mine")
    write_jsonl(folder / "extra.jsonl", labelled(3))
    assert own_notes(load(folder)) == ("ignored: extra.jsonl",)


def test_subsets_are_stratified_and_shuffled(tmp_path: Path):
    path = three_splits(tmp_path / "mine", train=labelled(200, "AAAB"), test=labelled(40, "AB"))
    corpus = load(path, train_rows=40, test_rows=10, validation_rows=4)
    assert Counter(codes(corpus)) == {"A": 30, "B": 10}
    assert Counter(codes(corpus, "test")) == {"A": 5, "B": 5}
    assert Counter(codes(corpus, "validation")) == {"A": 2, "B": 2}
    positions = [int(text.split()[1]) for text in texts(corpus)]
    assert positions != sorted(positions)


def test_subsets_depend_on_the_seed_alone(tmp_path: Path):
    folder = three_splits(tmp_path / "mine", train=labelled(200))
    first = load(folder, train_rows=40, seed=3)
    assert first.splits == load(folder, train_rows=40, seed=3).splits
    assert set(texts(first)) != set(texts(load(folder, train_rows=40, seed=4)))


def test_a_row_limit_of_train_does_not_change_the_other_splits(tmp_path: Path):
    path = write_jsonl(tmp_path / "a.jsonl", labelled(200))
    whole, cut = load(path), load(path, train_rows=20)
    assert (whole["test"], whole["validation"]) == (cut["test"], cut["validation"])
    assert set(texts(cut)) < set(texts(whole))


def test_a_subset_larger_than_the_split_is_the_split(tmp_path: Path):
    corpus = load(three_splits(tmp_path / "mine"), train_rows=500)
    assert sorted(texts(corpus)) == sorted(f"text {number}" for number in range(8))


# Fingerprint and leaks


def test_equal_data_have_equal_fingerprints_in_any_location(tmp_path: Path):
    first, second = load(three_splits(tmp_path / "one")), load(three_splits(tmp_path / "two"))
    assert first.fingerprint() == second.fingerprint()
    assert len(first.fingerprint()) == 64


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("change", [{"id": "Q"}, {"text": "text 1."}, {"label": "A"}])
def test_any_change_of_a_row_changes_the_fingerprint(
    tmp_path: Path, split: str, change: dict[str, str]
):
    rows = labelled(8, start=100 * SPLITS.index(split))
    rows[1] |= change
    changed = load(three_splits(tmp_path / "two", **{split: rows}))
    assert load(three_splits(tmp_path / "one")).fingerprint() != changed.fingerprint()


def test_the_fingerprint_depends_on_row_order_and_split(tmp_path: Path):
    corpus = load(three_splits(tmp_path / "mine"))
    train, validation, test = (corpus[split] for split in SPLITS)
    variants = [
        corpus,
        replace(corpus, splits=corpus.splits | {"train": train[::-1]}),
        replace(corpus, splits=corpus.splits | {"train": train[:-1]}),
        replace(corpus, splits=corpus.splits | {"train": test, "test": train}),
        # The same rows in the same order: only the boundary between two splits moves.
        replace(corpus, splits=corpus.splits | {"train": [], "validation": train + validation}),
    ]
    assert len({variant.fingerprint() for variant in variants}) == len(variants)


def test_test_texts_that_occur_in_train_are_counted_ignoring_case(tmp_path: Path):
    test = labelled(6, start=200)
    test[0]["text"] = "text 3"
    test[1]["text"] = " TEXT  4 "
    test[2]["text"] = "text 101"  # occurs in validation only
    assert load(three_splits(tmp_path / "mine", test=test)).leaked("test") == 2


# The whole tree


def rows_with_codes(*cells: object, start: int = 0) -> list[dict[str, object]]:
    """Rows with distinct texts and the given symbols."""
    return [
        {"id": f"P{number}", "text": f"text {number}", "codes": cell}
        for number, cell in enumerate(cells, start)
    ]


SEVERAL = ["A61K", "H04L"]
TRAIN = [
    *(["A61K"], ["A61K 8/02"], ["A61K", "A61P"], ["A61P"]),
    *(["H04L"], ["H04L"], SEVERAL, ["H04L", "Y02E"]),
]


def tree_corpus(folder: Path, finest: str = "subclass", **rows: list[dict[str, object]]) -> Corpus:
    """A corpus with the whole tree: A61P is too rare for its own leaf."""
    usual = {
        "train": rows_with_codes(*TRAIN),
        "validation": rows_with_codes(["A61K"], ["H04L"], start=100),
        "test": rows_with_codes(["A61K"], ["H04L"], start=200),
    }
    splits = three_splits(folder, **(usual | rows))
    return load(splits, labels="cpc", min_leaf_rows=2, finest=finest)


def test_rows_of_the_tree_have_codes_as_deep_as_they_are_certain(tmp_path: Path):
    corpus = tree_corpus(tmp_path / "mine")
    assert corpus.tree.paths == (("A", "A61"), ("A", "A61", "A61K"), ("H", "H04", "H04L"))
    found = [(row.y_true, row.leaves, row.carried) for row in corpus["train"]]
    assert found == [
        ((0, 0, 0), (1,), None),
        ((0, 0, 0), (1,), None),
        ((0, 0, None), (0, 1), (0, 1, 2)),  # one of two codes, one of which is folded
        ((0, 0, UNKNOWN_LABEL), (0,), None),
        ((1, 1, 1), (2,), None),
        ((1, 1, 1), (2,), None),
        ((None, None, None), (1, 2), (0, 1, 2, 3, 4, 5)),
        ((1, 1, 1), (2,), (3, 4, 5)),
    ]
    assert [row.stratum for row in corpus["train"]] == [0, 0, 0, 0, 1, 1, UNKNOWN_LABEL, 1]


def test_lists_of_subclasses_say_nothing_of_groups(tmp_path: Path):
    both = ["A61K31/00", "H04L"]
    corpus = tree_corpus(
        tmp_path / "mine",
        finest="main_group",
        train=rows_with_codes(*[["A61K31/00"]] * 20, *[["H04L"]] * 3, *[both] * 20),
        test=rows_with_codes(["A61K", "H04L"], both, start=200),
    )
    nodes = corpus.tree.nodes
    assert nodes[3] == ("A", "A61", "A61K", "A61K31/00")
    unrefined = [[nodes[node][-1] for node in row.unrefined] for row in corpus["test"]]
    assert unrefined == [["A61K", "H04L"], ["H04L"]]


def test_rows_in_several_sections_are_evaluated_by_all_their_codes_only(tmp_path: Path):
    held_out = rows_with_codes(["A61K"], SEVERAL, ["H04L"], start=100)
    corpus = tree_corpus(tmp_path / "mine", validation=held_out, test=held_out)
    assert len(corpus["train"]) == len(TRAIN)
    assert corpus.reject_counts == {}
    row = corpus["test"][1]
    assert row.y_true == (None, None, None)
    assert [corpus.tree.nodes[node][-1] for node in row.carried][-1] == "H04L"


def test_rows_of_an_uncertain_label_and_codes_are_not_evaluated(tmp_path: Path):
    fields = {"main_cpc": "A61K", "main_ipc": "H04L"}
    usual = rows_with_codes(["A61K"], ["H04L"], start=100)
    corpus = tree_corpus(tmp_path / "mine", validation=[*usual, {"text": "a loom"} | fields])
    assert corpus.reject_counts == {"validation: ambiguous label": 1}


def test_codes_missing_from_the_tree_are_unseen_in_the_other_splits(tmp_path: Path):
    test = rows_with_codes(["A61P"], ["H04W"], ["A01B"], ["A61K"], ["B01D"], start=200)
    corpus = tree_corpus(tmp_path / "mine", test=test)
    assert [(row.y_true, row.leaves) for row in corpus["test"]] == [
        ((0, 0, UNKNOWN_LABEL), (0,)),
        ((1, 1, UNKNOWN_LABEL), (2,)),
        ((0, UNKNOWN_LABEL, UNKNOWN_LABEL), (0, 1)),
        ((0, 0, 0), (1,)),
    ]
    assert corpus.reject_counts == {"test: label 'B' not known": 1}


def test_rows_with_tags_only_are_rejects(tmp_path: Path):
    corpus = tree_corpus(tmp_path / "mine", train=rows_with_codes(*TRAIN, ["Y02E"], []))
    assert corpus.reject_counts == {
        "train: no label": 1,
        "train: only in section Y, never a main code": 1,
    }


def test_min_leaf_rows_defines_rare_codes(tmp_path: Path):
    folder = three_splits(
        tmp_path / "mine",
        train=rows_with_codes(*TRAIN),
        validation=rows_with_codes(["A61K"], start=100),
        test=rows_with_codes(["A61K"], start=200),
    )
    all_kept, none_kept = (load(folder, labels="cpc", min_leaf_rows=rows).tree for rows in (1, 9))
    assert all_kept.at("subclass").codes == ["A61K", "A61P", "H04L"]
    assert none_kept.paths == (("A",), ("H",))


def test_a_given_tree_is_used_whatever_the_rows(tmp_path: Path):
    tree = tree_corpus(tmp_path / "mine").tree
    rows = rows_with_codes(["A61P"], ["A61P"], ["H04L"], ["B01D"])
    folder = three_splits(tmp_path / "other", train=rows, validation=rows[1:], test=rows[1:])
    corpus = load_corpus(DataSettings(data=str(folder), labels="cpc"), tree)
    assert corpus.tree is tree
    assert [row.leaves for row in corpus["train"]] == [(0,), (0,), (2,)]
    other = three_splits(tmp_path / "third", train=labelled(8, "XY"))
    with pytest.raises(DataError, match=r"the model knows \['A', 'H'\]"):
        load_corpus(DataSettings(data=str(other), labels="label"), tree)


@pytest.mark.parametrize("first", [["A61K"], SEVERAL])
def test_data_with_a_single_section_are_refused(first: list[str], tmp_path: Path):
    cells = [first, *([["A61K"]] * 9)]
    with pytest.raises(DataError, match=r"has one class only: 'A' in all \d+ usable"):
        tree_corpus(tmp_path / "mine", train=rows_with_codes(*cells))


def test_a_row_limit_that_leaves_one_section_and_uncertain_rows_is_refused(tmp_path: Path):
    cells = [*([["A61K"]] * 30), *([SEVERAL] * 30), ["H04L"]]
    with pytest.raises(DataError, match="of one label or none are left"):
        load(
            three_splits(
                tmp_path / "mine",
                train=rows_with_codes(*cells),
                validation=rows_with_codes(["A61K"], start=100),
                test=rows_with_codes(["A61K"], start=200),
            ),
            labels="cpc",
            train_rows=4,
        )


@pytest.mark.parametrize("change", [["A61P"], ["A61K", "A61P"], ["A61K", "Y02E"], SEVERAL])
def test_a_change_of_the_labels_changes_the_fingerprint(tmp_path: Path, change: list[str]):
    train = rows_with_codes(*TRAIN)
    before = tree_corpus(tmp_path / "one", train=train).fingerprint()
    train[1] |= {"codes": change}
    assert tree_corpus(tmp_path / "two", train=train).fingerprint() != before


# Metadata


@pytest.mark.parametrize(
    ("fields", "facts"),
    [
        ({}, Facts()),
        ({"title": " The  plough ", "year": 2019, "source": "EP"}, Facts("The plough", 2019, "EP")),
        ({"title": "", "year": None, "source": " "}, Facts()),
        ({"publication_date": "2021-05-04"}, Facts(year=2021)),
        ({"date": 20_180_704, "publication_date": "2021-05-04"}, Facts(year=2018)),
        ({"year": "2017.0"}, Facts(year=2017)),
        ({"year": "?", "date": "04.05.2021", "publication_year": "1999"}, Facts(year=1999)),
        ({"year": 0, "date": "04.05.2021"}, Facts(year=2021)),
        ({"year": "?", "date": "next week"}, Facts()),
    ],
)
def test_metadata_is_read_from_the_columns(fields: dict[str, object], facts: Facts):
    assert Facts.of(fields) == facts


def test_examples_carry_the_metadata_of_their_rows(tmp_path: Path):
    rows = labelled(8)
    rows[0] |= {"title": "The plough", "year": 2019}
    corpus = load(three_splits(tmp_path / "mine", train=rows))
    assert corpus["train"][0].facts == Facts("The plough", 2019)
    assert corpus["train"][1].facts == Facts()


# The shared patents

NINE_CLASSES = "A61,A01,G06,H01,B01,C07,G08,F16,H04"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared patents without their full texts, which take longest to read."""
    folder = tmp_path_factory.mktemp("shared")
    columns = ["id", "title", "abstract", "main_code", "codes", "section"]
    for split in SPLITS:
        path = SHARED / "data" / f"patents-{split}.parquet"
        if not path.is_file():
            pytest.skip(f"the shared patents are not here: {path} is missing")
        pq.write_table(pq.read_table(path, columns=columns), folder / f"{split}.parquet")
    return folder


def usable(corpus: Corpus, folder: Path) -> list[int]:
    """Usable rows of each split, before any row limit."""
    rejected = Counter(reject.split for reject in corpus.rejects)
    rows = [pq.read_metadata(folder / f"{split}.parquet").num_rows for split in SPLITS]
    return [count - rejected[split] for count, split in zip(rows, SPLITS, strict=True)]


def test_the_shared_patents_have_the_section_counts_of_their_readme(shared: Path):
    corpus = load(shared, labels="section", train_rows=200)
    assert known(corpus) == list("ABCDEFGH")
    assert usable(corpus, shared) == [19_071, 2_765, 2_782]
    assert [len(corpus[split]) for split in SPLITS] == [200, 2_765, 2_782]
    assert set(corpus.reject_counts) == {f"{split}: ambiguous label" for split in SPLITS}


@pytest.mark.full  # the section counts are those of the same rows
def test_the_shared_patents_have_the_nine_classes_of_a_list_in_its_order(shared: Path):
    corpus = load(shared, labels=NINE_CLASSES, train_rows=900)
    assert known(corpus) == NINE_CLASSES.split(",")
    for split in SPLITS:
        assert set(codes(corpus, split)) == set(NINE_CLASSES.split(","))
    assert usable(corpus, shared) == [9_412, 1_396, 1_403]


def test_a_column_of_texts_is_refused_as_label_column(tmp_path: Path):
    rows = [{"text": f"text {n}", "title": f"title {n}"} for n in range(60)]
    with pytest.raises(DataError, match="60 classes for 60 training rows"):
        load_corpus(DataSettings(data=str(write_jsonl(tmp_path / "a.jsonl", rows)), labels="title"))


def test_a_listed_label_without_rows_is_reported(tmp_path: Path):
    rows = [{"text": f"text {n}", "main_code": ("A61K", "G06F")[n % 2]} for n in range(60)]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    corpus = load_corpus(DataSettings(data=str(path), labels="A61,G06,G16"))
    assert "labels without a training row: G16" in corpus.notes


def test_what_may_have_been_read_wrongly_is_noted(tmp_path: Path):
    lines = [f"{number},{'AB'[number % 2]},text {number}" for number in range(40)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["id,label,text", *lines, "41,A"]), encoding="utf-8")
    notes = load(path).notes
    assert notes[1].startswith("a.csv: 1 record with fewer cells than the header has columns")


# Data that a model is only tested on


def test_a_file_without_splits_is_tested_on_as_a_whole(tmp_path: Path):
    tree = load(three_splits(tmp_path / "mine")).tree
    path = write_jsonl(tmp_path / "new.jsonl", labelled(5, start=500))
    corpus = load_corpus(DataSettings(data=str(path)), tree, test_only=True)
    assert texts(corpus, "test") == [f"text {number}" for number in range(500, 505)]
    assert (corpus["train"], corpus["validation"]) == ([], [])
    assert "there are no training rows to compare with: no baseline is fitted" in corpus.notes
    assert len(load_corpus(DataSettings(data=str(path)), tree)["train"]) < 5


def test_a_folder_with_a_test_file_alone_can_be_tested_on(tmp_path: Path):
    tree = load(three_splits(tmp_path / "mine")).tree
    (tmp_path / "other").mkdir()
    write_jsonl(tmp_path / "other" / "test.jsonl", labelled(5, "A", start=500))
    settings = DataSettings(data=str(tmp_path / "other"))
    corpus = load_corpus(settings, tree, test_only=True)
    assert [len(corpus[split]) for split in SPLITS] == [0, 0, 5]
    with pytest.raises(DataError, match=r"has no usable training row \(no train split\)"):
        load(tmp_path / "other")


def test_training_rows_are_kept_where_there_are_any(tmp_path: Path):
    tree = load(three_splits(tmp_path / "mine")).tree
    settings = DataSettings(data=str(three_splits(tmp_path / "other")))
    corpus = load_corpus(settings, tree, test_only=True)
    assert [len(corpus[split]) for split in SPLITS] == [8, 8, 8]


def test_rows_without_a_label_say_why_none_can_be_tested_on(tmp_path: Path):
    tree = load(three_splits(tmp_path / "mine")).tree
    rows = [{"text": "a", "label": ""}, {"text": "", "label": "A"}]
    path = write_jsonl(tmp_path / "new.jsonl", rows)
    with pytest.raises(DataError, match=r"no usable row \(no label: 1; no text: 1\)"):
        load_corpus(DataSettings(data=str(path)), tree, test_only=True)


# Codes that the CPC does not have


def test_former_codes_are_noted_with_what_became_of_them(tmp_path: Path):
    cells = [["F24J"], ["F24J"], ["C01L"], ["H04L"], ["A61K"]] * 6
    corpus = tree_corpus(tmp_path / "mine", train=rows_with_codes(*cells))
    (note,) = (note for note in corpus.notes if note.startswith("codes: "))
    assert "F24J is no longer in the CPC (until 2017; now F24S, F24T, F24V) (12 rows)" in note
    assert "C01L is no code of the CPC, nor a known former one (6 rows)" in note
    assert "A61K" not in note


def test_a_row_of_a_former_code_is_rejected_with_what_became_of_it(tmp_path: Path):
    rows = [{"text": f"text {n}", "main_code": ["F24S", "A61K", "F24J"][n % 3]} for n in range(60)]
    corpus = load(write_jsonl(tmp_path / "a.jsonl", rows), labels="A61K,F24S")
    reject = corpus.rejects[0]
    assert reject.reason == "label not in the list"
    assert reject.example == "F24J is no longer in the CPC (until 2017; now F24S, F24T, F24V)"


def test_columns_of_labels_are_no_codes(tmp_path: Path):
    corpus = load(write_jsonl(tmp_path / "a.jsonl", labelled(40, ["F24J", "red"])))
    assert [note for note in corpus.notes if note.startswith("codes: ")] == []


def test_a_family_stays_on_one_side_of_every_split(tmp_path: Path):
    rows = [
        row | {"docdb_family_id": 70_000_000 + number // 3}
        for number, row in enumerate(labelled(300, "AB"))
    ]
    corpus = load(write_jsonl(tmp_path / "a.jsonl", rows))
    sides = [{row.facts.family for row in corpus[split]} for split in SPLITS]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 100
    assert "70000000" in set.union(*sides)


def test_families_on_both_sides_are_counted_like_texts(tmp_path: Path):
    folder = three_splits(
        tmp_path / "mine",
        train=[row | {"family": f"F{n}"} for n, row in enumerate(labelled(20))],
        test=[row | {"family": f"F{n + 18}"} for n, row in enumerate(labelled(6, start=200))],
    )
    assert load(folder).leaked("test") == 2


@pytest.mark.parametrize("number", ["-1", 0, None])
def test_what_stands_for_no_family_joins_nothing(tmp_path: Path, number: object):
    rows = [row | {"family": number} for row in labelled(40, "AB")]
    assert len(load(write_jsonl(tmp_path / "a.jsonl", rows))["train"]) > 20


def test_rows_of_one_family_cannot_be_divided(tmp_path: Path):
    rows = [row | {"family": "F1"} for row in labelled(40, "AB")]
    with pytest.raises(DataError, match="all 40 rows of train are of one family"):
        load(write_jsonl(tmp_path / "a.jsonl", rows))


def test_codes_that_contradict_the_main_code_are_named_in_one_line(tmp_path: Path):
    rows = rows_with_codes(*TRAIN)
    rows[0] |= {"main_code": "B01D 1/00"}
    corpus = tree_corpus(tmp_path / "mine", train=rows)
    note = (
        "codes: 1 rows have no code of the section of their main code, e.g. B01D; the main code "
        "counts. Check that columns belong together."
    )
    assert note in corpus.notes
    assert corpus["train"][0].y_true[0] == corpus.tree.at("section").index("B")


def overlapping(count: int, start: int = 0) -> list[dict[str, object]]:
    pairs = [["a", "b"], ["b", "c"], ["c", "a"]]
    return [{"text": f"text {n}", "label": pairs[n % 3]} for n in range(start, start + count)]


def test_rows_of_several_labels_are_learnt_from(tmp_path: Path):
    folder = three_splits(
        tmp_path / "mine",
        **{split: overlapping(9, 100 * n) for n, split in enumerate(SPLITS)},
    )
    corpus = load(folder)
    assert corpus.tree.nodes == corpus.tree.paths == (("a",), ("b",), ("c",))
    assert corpus.reject_counts == {}
    assert [row.carried for row in corpus["test"][:3]] == [(0, 2), (0, 1), (1, 2)]
    assert {row.y_true for row in corpus["test"]} == {(None,)}


def test_lists_that_are_texts_are_refused_in_one_line(tmp_path: Path):
    rows = [row | {"label": str(row["label"])} for row in overlapping(9)]
    with pytest.raises(DataError, match=r"labels written as the text of a list: 9, e\.g\. \['a'"):
        load(three_splits(tmp_path / "mine", train=rows))


def test_views_are_given_to_training_rows_alone(tmp_path: Path):
    def rows(start: int) -> list[dict[str, object]]:
        return [
            {
                "title": f"Title {number}",
                "abstract": f"Abstract {number}",
                "claims": f"Claims {number}",
                "label": "AB"[number % 2],
            }
            for number in range(start, start + 4)
        ]

    claims = {"title": None, "abstract": "", "claims": "Claims alone", "label": "A"}
    part = {"title": "Title alone", "abstract": None, "claims": None, "label": "B"}
    train = [*rows(0), claims, part]
    folder = three_splits(tmp_path / "f", train=train, validation=[*rows(4), claims], test=rows(8))
    settings = DataSettings(data=str(folder))
    plain, corpus = load_corpus(settings), load_corpus(settings, views=True)
    found = {row.text: row.views for row in corpus["train"]}
    assert found["Title 0. Abstract 0"] == ("Title 0", "Abstract 0", "Claims 0")
    assert found["Claims alone"] == found["Title alone"] == ()
    assert plain.reject_counts == {"train: no text": 1, "validation: no text": 1}
    assert corpus.reject_counts == {"validation: no text": 1}
    for split in ("validation", "test"):
        assert corpus[split] == plain[split]
        assert not any(row.views for row in corpus[split])
    assert corpus.fingerprint() != plain.fingerprint()


def test_a_small_file_stays_whole_where_that_is_wanted(tmp_path: Path):
    path = write_jsonl(tmp_path / "a.jsonl", labelled(40, "AB"))
    corpus = load_corpus(DataSettings(data=str(path)), declared=["C"], whole_rows=40)
    assert [len(corpus[split]) for split in SPLITS] == [40, 0, 0]
    assert corpus.tree.at("label").codes == ["A", "B", "C"]
    assert len(load_corpus(DataSettings(data=str(path)), whole_rows=39)["test"]) == 4
    folder = three_splits(tmp_path / "mine")
    assert load_corpus(DataSettings(data=str(folder)), whole_rows=1000)["test"]


def test_declared_labels_need_no_row_but_must_fit_the_labels(tmp_path: Path):
    path = write_jsonl(tmp_path / "a.jsonl", labelled(3, "A"))
    many = [f"kind {number}" for number in range(39)]
    corpus = load_corpus(DataSettings(data=str(path)), declared=many, whole_rows=500)
    assert len(corpus.tree.paths) == 40
    coded = write_jsonl(tmp_path / "b.jsonl", [{"text": "A.", "main_code": "A01B 1/00"}])
    settings = DataSettings(data=str(coded), labels="class")
    with pytest.raises(DataError, match=r"descriptions: .* cannot be used \(no CPC symbol\)"):
        load_corpus(settings, declared=["kind 1"], whole_rows=500)
