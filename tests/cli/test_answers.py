"""Output of predict and classify for a model of the whole tree, with extra options."""

import csv
import json
import re
from pathlib import Path

import pytest

from conftest import patent_rows, write_jsonl
from helpers import Cli, Outcome
from patclass.bundle import read_bundle
from patclass.bundle.registry import VARIABLE

PATENT = patent_rows(3, seed=8)[2]
TEXT = f"{PATENT['title']}. {PATENT['abstract']}"
LEVELS = ("section", "class", "subclass")


@pytest.fixture
def predict(cli: Cli, tree_bundle: Path) -> Cli:
    """Run predict with the bundle of the tree."""
    return lambda *flags, text=TEXT: cli("predict", text, "--model", tree_bundle, *flags)


def json_of(outcome: Outcome) -> dict:
    assert (outcome.code, outcome.err) == (0, "")
    return json.loads(outcome.out)


@pytest.mark.parametrize("level", LEVELS)
def test_the_requested_level_is_predicted_with_those_above(predict: Cli, level: str):
    outcome = predict("--level", level)
    assert outcome.code == 0
    first, *steps = outcome.out.split("\n\n")[0].splitlines()
    depth = LEVELS.index(level) + 1
    assert re.fullmatch(rf"H\d*B? \({level}(, unsure)?\)", first)
    assert len(steps) == depth
    assert [re.match(r"( +)", step)[1].count("  ") for step in steps] >= list(range(1, depth + 1))
    codes = [step.split("%  ")[1].split()[0] for step in steps]
    assert codes[0] == "H"
    assert all(len(code) == size for code, size in zip(codes, (1, 3, 4), strict=False))
    assert f"\nbest at level {level}\n" in outcome.out


def test_auto_stops_where_the_prediction_is_no_longer_sure(predict: Cli):
    """The words of these patents do not determine their class."""
    assert predict().out == predict("--level", "auto").out
    assert predict().out.startswith("H (section)\n")
    assert predict("--threshold", 0).out.startswith("H0")
    assert (
        predict("--threshold", 1, text="Soil and acid.")
        .out.splitlines()[0]
        .endswith("(section, unsure)")
    )


def test_an_unknown_level_is_refused_with_the_known_ones(predict: Cli):
    outcome = predict("--level", "group")
    assert outcome.code == 2
    assert "level group: this model has section, class, subclass" in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_label_set_is_listed_with_its_size(predict: Cli):
    outcome = predict("--level", "class", "--coverage", 0.8)
    listed = outcome.out.split("\nlabel set (")[1].splitlines()
    size = int(listed[0].split()[0])
    assert size == len(listed) - 1 >= 1
    outcome = predict("--level", "class", "--coverage", 0.8, "--format", "json")
    entries = json.loads(outcome.out)["label_set"]
    assert [line.split("%  ")[1].split()[0] for line in listed[1:]] == [
        entry["label"] for entry in entries
    ]


def test_neighbours_are_listed_with_id_code_and_title(predict: Cli):
    outcome = predict("--neighbours", 3)
    listed = outcome.out.split("\nsimilar patents\n")[1].splitlines()
    assert len(listed) == 3
    assert all(
        re.fullmatch(r" *[01]\.\d\d  P1-\d+  [ACH]\d\d[BD]  The \w+ and \w+", n) for n in listed
    )


def test_passages_are_listed_with_their_contributions(predict: Cli):
    outcome = predict("--explain")
    listed = outcome.out.split("\npassages, by their contribution to the answer\n")[1].splitlines()
    assert len(listed) == 2
    assert all(re.match(r" *[+-]\d+\.\d\d  \w", line) for line in listed)
    assert listed[0].endswith(PATENT["title"] + ".")


def test_everything_is_in_one_json_object(predict: Cli):
    prediction = json_of(
        predict(
            *("--format", "json", "--coverage", 0.8, "--neighbours", 3, "--explain", "-k", 2),
            "--all-codes",
        )
    )
    assert (prediction["section"], len(prediction["class"]), len(prediction["subclass"])) == (
        "H",
        3,
        4,
    )
    assert len(prediction["top"]) == 2
    assert prediction["label_set"]
    assert len(prediction["neighbours"]) == 3
    assert [TEXT[part["start"] : part["end"]] for part in prediction["passages"]] == [
        f"{PATENT['title']}. ",
        PATENT["abstract"],
    ]
    assert {"code", "title", "level", "probability", "precision", "role"} == set(
        prediction["codes"][0]
    )


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        pytest.param("Bearing.", "only one word", id="one word"),
        pytest.param("0123456789", "no letters", id="digits only"),
        pytest.param("半導体装置とその製造方法。", "another script", id="Japanese"),
        pytest.param(f"{TEXT} " * 40, "of the text was read", id="long text"),
    ],
)
def test_warnings_are_printed_and_are_in_the_json_object(predict: Cli, text: str, warning: str):
    outcome = predict(text=text)
    assert outcome.code == 0
    assert sum(warning in line for line in outcome.err.splitlines()) == 1
    assert all(line.startswith("warning: ") for line in outcome.err.splitlines())
    found = json.loads(predict("--format", "json", text=text).out)["warnings"]
    assert [f"warning: {reason['message']}" for reason in found] == outcome.err.splitlines()


def test_classify_predicts_every_row_at_the_level(cli: Cli, tree_bundle: Path, tmp_path: Path):
    source = write_jsonl(tmp_path / "in.jsonl", patent_rows(9, seed=8))
    flags = ("--level", "class", "--coverage", 0.8, "--neighbours", 2, "--explain", "-k", 4)
    outcome = cli("classify", source, "-o", tmp_path / "out.csv", "--model", tree_bundle, *flags)
    assert outcome == Outcome(0, outcome.err, f"{tmp_path / 'out.csv'}: 9 rows\n")
    assert outcome.err.startswith("in.jsonl: read as JSON lines; id, ")
    assert outcome.err.count("\n") == 1
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["section"] for row in rows] == ["A", "C", "H"] * 3
    for row in rows:
        assert (row["level"], row["label"]) == ("class", row["class"])
        assert row["subclass"].startswith(row["class"])
        assert len(json.loads(row["top"])) == 4
        assert len(json.loads(row["neighbours"])) == 2
        assert len(json.loads(row["passages"])) == 2
        assert row["label"] in [entry["label"] for entry in json.loads(row["label_set"])]


def test_the_model_is_named_by_flag_environment_or_argument(
    cli: Cli,
    bundle: Path,
    tree_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """The flat bundle has no class level, which distinguishes its output from the other's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, str(tree_bundle))
    (tmp_path / "final_model").symlink_to(bundle)
    command = ("predict", TEXT, "--format", "json")
    assert "class" in json.loads(cli(*command).out)
    assert "class" not in json.loads(cli(*command, "--model", bundle).out)
    verified = cli("verify")
    assert verified.out.startswith(f"{tree_bundle}: complete")
    version = read_bundle(tree_bundle).fingerprint
    assert verified.err == f"model: {tree_bundle} (version {version})\n"
    monkeypatch.delenv(VARIABLE)
    outcome = cli(
        *command
    )  # a model that was trained in this folder does not replace the shipped one
    assert "class" in json.loads(outcome.out)
    assert outcome.err.splitlines()[0].startswith("model: shipped (version ")
