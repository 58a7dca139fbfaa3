"""Output, files and exit code of each command for valid input."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from unittest import mock

import click
import pytest
import torch
from click.testing import CliRunner

import patclass
from conftest import ROOT, SHARED, patent_rows, write_jsonl
from helpers import Cli, Outcome, verified_here
from patclass.bundle import read_bundle
from patclass.cli.main import main
from patclass.core.settings import TrainSettings
from patclass.evaluation.report import Report
from patclass.model.base import PRESETS

PATENT = patent_rows(3, seed=8)[2]
# What is recognised of a file of ``patent_rows``.
PATENT_COLUMNS = "id, title, abstract, main_code"
TEXT = f"{PATENT['title']}. {PATENT['abstract']}"


ANSWERS = ["--level", "--threshold", "--coverage", "--neighbours", "--explain"]

# A line of predict's output for one label: its probability, code and title.
LINE = re.compile(r" *(\d+\.\d)%  (\S+) +(\S.*)")


def help_of(command: str) -> str:
    done = CliRunner().invoke(main, [command, "--help"])
    assert done.exit_code == 0
    return done.output


def flags_of(command: click.Command) -> list[str]:
    options = (option for option in command.params if isinstance(option, click.Option))
    return [flag for option in options for flag in (*option.opts, *option.secondary_opts)]


@pytest.mark.parametrize("name", main.commands)
def test_help_mentions_every_flag(name: str):
    outcome = help_of(name)
    flags = flags_of(main.commands[name])
    assert [flag for flag in flags if not re.search(rf"{flag}\b", outcome)] == []
    assert outcome.startswith(f"Usage: main {name}")


@pytest.mark.parametrize(
    ("name", "meaning", "default"),
    [
        ("train", "Patents to learn from: a CSV", "sample"),
        ("evaluate", "Patents to test on: a CSV", "that of the training"),
        ("compare", "Patents to test on: a CSV", "that of A's training"),
        ("export", "Patents to quantise and compare with: a CSV", "that of the training if it is"),
        ("audit", "Patents whose labels are audited: a CSV", "sample"),
    ],
)
def test_help_says_what_the_data_is_for_and_where_it_comes_from(
    name: str, meaning: str, default: str
):
    words = " ".join(help_of(name).split())
    _, found, rest = words.partition(f"--data TEXT {meaning}")
    assert found, words
    assert rest.partition("[default: ")[2].startswith(default)


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("train", ["--config", "--resume", "--restart"]),
        ("evaluate", ["--split", "--output", "--data", "--labels", "--baselines", "--device"]),
        ("compare", ["--level", "--split", "--output", "--data", "--device"]),
        ("audit", ["--level", "--folds", "--data", "--labels", "--text"]),
        ("predict", ["-k", "--format", "--model", "--device", *ANSWERS]),
        ("classify", ["-k", "--model", *ANSWERS]),
        ("verify", ["--device"]),
        ("doctor", []),
    ],
)
def test_commands_have_the_documented_flags(name: str, flags: list[str]):
    assert set(flags) <= set(flags_of(main.commands[name]))


def test_every_setting_of_training_is_a_flag_with_its_default():
    help_text = re.sub(r"\s+", "", help_of("train"))
    for name, (_, info) in TrainSettings.fields().items():
        assert f"--{name.replace('_', '-')}" in help_text
        if isinstance(info.default, int) and not isinstance(info.default, bool):
            assert f"{info.description}[default:{info.default}]".replace(" ", "") in help_text


def test_top_level_help_lists_every_command_and_the_exit_codes(cli: Cli):
    outcome = cli("--help")
    assert outcome.code == 0
    assert all(f"\n  {name} " in outcome.out for name in main.commands)
    assert "Exit codes: 0 success; 1 " in outcome.out


def test_version_is_printed(cli: Cli):
    outcome = cli("--version")
    assert (outcome.code, outcome.out) == (0, f"patclass, version {patclass.__version__}\n")


def test_first_run_help_shows_its_own_defaults(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, ROOT / "src" / "train.py", "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    help_text = re.sub(r"\s+", "", done.stdout)
    assert "[default:llama-3.2-1b]" in help_text
    assert "[default:ccdv/patent-classification:abstract]" in help_text
    assert help_text.count("[default:1000]") == 1
    assert help_text.count("[default:100]") == 2


@pytest.fixture(scope="module")
def doctor() -> list[str]:
    """The lines that doctor prints."""
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == 0, done.output
    return done.output.splitlines()


def test_doctor_reports_device_and_precision_with_the_reason(doctor: list[str]):
    chosen = [line for line in doctor if " for a " in line]
    assert len(chosen) == 2
    pattern = r"for a (float32|bfloat16) base: (cpu|cuda|mps), (float32|bfloat16): \S.{10,}"
    assert all(re.search(pattern, line) for line in chosen)
    products = [line for line in doctor if line.startswith("products ")]
    assert len(products) == 3
    pattern = r": [\d,]+ GFLOP/s of one core, relative error \S+: (not )?used$"
    assert all(re.search(pattern, line) for line in products)


@pytest.mark.parametrize(
    "pattern", [r"processor   .+: \w+", r"cores       \d+ usable", r"memory      .*GiB free of"]
)
def test_doctor_reports_the_machine(doctor: list[str], pattern: str):
    assert sum(bool(re.match(pattern, line)) for line in doctor) == 1


@pytest.mark.parametrize("preset", PRESETS)
def test_doctor_reports_whether_each_base_is_ready(doctor: list[str], preset: str):
    (line,) = (line for line in doctor if line.startswith(f"base        {preset} "))
    assert re.search(r"\): (verified|not available: \S+)", line)


def test_doctor_verifies_the_embedded_base(doctor: list[str]):
    assert any(line.startswith("base        minilm") for line in doctor)
    assert any(line.endswith(": verified") for line in doctor if "minilm (" in line)


def test_doctor_reports_versions_token_and_disk(doctor: list[str]):
    report = "\n".join(doctor)
    assert f"torch {torch.__version__.split('+')[0]}" in report
    assert re.search(r"^hub token +(set|not set)", report, re.MULTILINE)
    assert re.search(r"^disk +\d+\.\d GiB free", report, re.MULTILINE)


def best_of(output: str) -> list[tuple[str, str, float]]:
    """Code, title and probability of the labels listed at the predicted level."""
    listed = output.split("\nbest at level ")[1].split("\n\n")[0].splitlines()[1:]
    found = [LINE.fullmatch(line) for line in listed]
    assert None not in found, listed
    return [(line[2], line[3], float(line[1])) for line in found if line]


@pytest.mark.parametrize(("k", "lines"), [(1, 1), (2, 2), (3, 3), (100, 3)])
def test_predict_prints_one_line_per_alternative(cli: Cli, bundle: Path, k: int, lines: int):
    outcome = cli("predict", TEXT, "-k", k, "--model", bundle)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("H (section)\n  ")
    assert re.fullmatch(r" +\d+\.\d%  H  Electricity", outcome.out.splitlines()[1])
    shown = best_of(outcome.out)
    assert len(shown) == lines
    assert shown[0][:2] == ("H", "Electricity")
    shares = [share for _, _, share in shown]
    assert shares == sorted(shares, reverse=True)


def test_predict_prints_three_lines_by_default(cli: Cli, bundle: Path):
    assert len(best_of(cli("predict", TEXT, "--model", bundle).out)) == 3


def test_predict_prints_one_json_object_with_the_documented_keys(cli: Cli, bundle: Path):
    outcome = cli("predict", TEXT, "--format", "json", "-k", 2, "--model", bundle)
    prediction = json.loads(outcome.out)
    assert outcome.code == 0
    assert set(prediction) == {
        *("label", "name", "confidence", "level", "sure", "section", "section_confidence"),
        *("path", "top", "read_share", "passages", "neighbours", "warnings"),
    }
    assert (prediction["label"], prediction["name"]) == ("H", "Electricity")
    assert (prediction["level"], prediction["section"], prediction["sure"]) == (
        "section",
        "H",
        True,
    )
    assert [set(entry) for entry in prediction["top"]] == [{"label", "name", "confidence"}] * 2
    assert prediction["top"][0]["confidence"] == prediction["confidence"] > 0.5
    assert prediction["path"] == prediction["top"][:1]
    assert (prediction["neighbours"], prediction["warnings"], prediction["read_share"]) == (
        [],
        [],
        1,
    )


def test_predict_warns_on_the_error_stream(cli: Cli, bundle: Path):
    outcome = cli("predict", "Bearing.", "--model", bundle)
    assert outcome.code == 0
    assert (
        "warning: the text has only one word; an abstract gives a more reliable prediction\n"
        in outcome.err
    )
    assert all(line.startswith("warning: ") for line in outcome.err.splitlines())
    assert "warning" not in outcome.out


def test_predict_reads_standard_input(cli: Cli, bundle: Path):
    given = cli("predict", TEXT, "--format", "json", "--model", bundle)
    read = cli("predict", "--format", "json", "--model", bundle, stdin=f"{TEXT}\n".encode())
    assert read.code == 0
    assert read.out == given.out


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_predict_reads_standard_input_in_any_usual_encoding(cli: Cli, bundle: Path, encoding: str):
    text = "Gerät mit größerer Öffnung, polymer catalyst acid"
    given = cli("predict", text, "--format", "json", "--model", bundle)
    read = cli("predict", "--format", "json", "--model", bundle, stdin=text.encode(encoding))
    assert (read.code, read.out) == (0, given.out)


def test_predict_reads_a_shared_file_in_utf_16(cli: Cli, bundle: Path):
    if not SHARED.is_dir():
        pytest.skip("the shared inputs are not on this machine")
    raw = (SHARED / "cases" / "stdin-utf16.txt").read_bytes()
    given = cli("predict", raw.decode("utf-16"), "--format", "json", "--model", bundle)
    read = cli("predict", "--format", "json", "--model", bundle, stdin=raw)
    assert (read.code, read.out) == (0, given.out)


def test_predict_reads_other_scripts_from_standard_input(cli: Cli, bundle: Path):
    outcome = cli(
        "predict", "--format", "json", "--model", bundle, stdin="größe 半導体 🧪".encode()
    )
    assert json.loads(outcome.out)["label"] in ("A", "C", "H")


def test_classify_writes_the_file_and_reports_the_row_count(cli: Cli, bundle: Path, tmp_path: Path):
    rows = [*patent_rows(5, seed=8), {"id": "none", "title": "", "abstract": ""}]
    source, target = write_jsonl(tmp_path / "in.jsonl", rows), tmp_path / "out.csv"
    outcome = cli("classify", source, "-o", target, "-k", 1, "--model", bundle)
    assert outcome == Outcome(
        0,
        err=f"in.jsonl: read as JSON lines; {PATENT_COLUMNS}\n",
        out=f"{target}: 6 rows, 1 of them with an error\n",
    )
    with target.open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["id"] for row in found] == [row["id"] for row in rows]
    assert [len(json.loads(row["top"])) for row in found[:5]] == [1] * 5


def test_classify_reads_a_file_as_stated(cli: Cli, bundle: Path, tmp_path: Path):
    rows = patent_rows(3, seed=8)
    lines = ["No^Kurz^note", *(f"{row['id']}^{row['abstract']} Gerät^x" for row in rows)]
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("\n".join(lines), encoding="cp1252")
    outcome = cli(
        *("classify", source, "-o", target, "--model", bundle, "--id", "No", "--abstract", "Kurz"),
        *("--delimiter", "^", "--encoding", "cp1252", "--columns", "note, No"),
    )
    assert outcome.err == (
        "in.csv: read as '^', Windows-1252, header in line 1; id: No, abstract: Kurz\n"
    )
    with target.open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert list(found[0])[:4] == ["note", "No", "id", "label"]
    assert [row["id"] for row in found] == [row["id"] for row in rows]
    assert [row["label"] for row in found] == patclass.load(bundle).predict(
        [f"{row['abstract']} Gerät" for row in rows]
    )


def test_verify_prints_the_difference(cli: Cli, bundle: Path):
    outcome = cli("verify", bundle)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"{bundle}: complete; 8 golden texts have the same answers")
    found = re.search(r"largest difference of a logit (\S+), tolerance 0\.001", outcome.out)
    assert found is not None
    assert float(found[1]) < 1e-3


@pytest.mark.parametrize("name", ["report.html", "report.json"])
def test_evaluate_writes_the_report_as_html_and_json(
    cli: Cli, bundle: Path, tmp_path: Path, name: str
):
    outcome = cli("evaluate", bundle, "-o", tmp_path / "out" / name)
    report = Report.model_validate_json((tmp_path / "out" / "report.json").read_text())
    assert outcome.out == report.text() + "\n"
    assert outcome.code == (0 if report.passed else 1)
    assert (report.split, report.model.rows, report.train_rows) == ("test", 24, 90)
    stored = Report.model_validate_json((bundle / "report.json").read_text())
    assert report.model.accuracy == pytest.approx(stored.model.accuracy)
    assert report.levels["section"].ece == pytest.approx(stored.levels["section"].ece, abs=1e-3)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert f"{report.model.accuracy:.1%}" in page
    assert "<script" not in page
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_evaluate_fits_baselines_at_the_named_levels(cli: Cli, tree_bundle: Path, tmp_path: Path):
    target = tmp_path / "report.json"
    outcome = cli("evaluate", tree_bundle, "--baselines", "section, class", "-o", target)
    report = Report.model_validate_json(target.read_text())
    fitted = {level for level, found in report.levels.items() if found.baselines}
    assert fitted == {"section", "class"}
    assert set(report.levels) == {"section", "class", "subclass"}
    assert all(f"{level}, 2" in outcome.out for level in report.levels)


@pytest.mark.parametrize("truncation", ["head", "head+tail", "windows"])
def test_evaluate_accepts_another_truncation(cli: Cli, bundle: Path, truncation: str):
    outcome = cli("evaluate", bundle, "--truncation", truncation)
    assert outcome.code in (0, 1)
    assert "test, 24 rows" in outcome.out


def test_evaluate_accepts_other_data_and_another_split(cli: Cli, bundle: Path, tmp_path: Path):
    for split, seed in (("train", 4), ("validation", 5), ("test", 6)):
        write_jsonl(tmp_path / f"{split}.jsonl", patent_rows(12, seed))
    outcome = cli("evaluate", bundle, "--data", tmp_path, "--split", "validation")
    assert outcome.out.splitlines()[-1].startswith("validation, 12 rows: ")
    assert outcome.err == "".join(
        f"note: {split}.jsonl: read as JSON lines; {PATENT_COLUMNS}\n"
        for split in ("train", "validation", "test")
    )


@pytest.mark.parametrize("folder", [False, True])
def test_evaluate_needs_no_training_rows(cli: Cli, bundle: Path, tmp_path: Path, folder: bool):
    path = write_jsonl(tmp_path / "test.jsonl", patent_rows(12, 6))
    report = tmp_path / "out" / "report.html"
    outcome = cli("evaluate", bundle, "--data", tmp_path if folder else path, "-o", report)
    assert outcome.out.splitlines()[-1].startswith("test, 12 rows: not compared: ")
    assert "no baseline is fitted" in outcome.err
    assert (outcome.code, report.is_file()) == (0, True)


def test_evaluate_refuses_a_split_without_rows(cli: Cli, bundle: Path, tmp_path: Path):
    path = write_jsonl(tmp_path / "new.jsonl", patent_rows(12, 6))
    outcome = cli("evaluate", bundle, "--data", path, "--split", "validation")
    assert outcome.code == 2
    assert "--split validation: new.jsonl has no usable row in it" in outcome.err


def test_evaluate_holds_out_the_same_rows_of_the_file_of_the_training(
    cli: Cli, bundle: Path, tmp_path: Path
):
    path = write_jsonl(tmp_path / "new.jsonl", patent_rows(60, 6))
    description = read_bundle(bundle).description.settings.data.model_copy(
        update={"data": str(tmp_path / "." / "new.jsonl")}
    )
    settings_of = "patclass.bundle.description.Description.data_settings"
    with mock.patch(settings_of, return_value=description):
        outcome = cli("evaluate", bundle, "--data", path)
    assert "test, 6 rows" in outcome.out


def test_evaluate_exits_with_1_when_the_model_is_weak(cli: Cli, bundle: Path):
    # TF-IDF classifies these rows perfectly, so no model can beat it.
    outcome = cli("evaluate", bundle)
    assert outcome.code == 1
    assert "FAILED: the model is not worth using" in outcome.out


def test_evaluate_refuses_data_with_other_labels(cli: Cli, bundle: Path, tmp_path: Path):
    outcome = cli("evaluate", bundle, "--labels", "class", "-o", tmp_path / "report.json")
    assert outcome.code == 2
    assert outcome.err.startswith("error: the model knows ['A'")
    assert "'A', 'C', 'H'" in outcome.err
    assert "'A01'" in outcome.err
    assert outcome.err.endswith("Choose the same --labels.\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("flag", "code"), [("--no-allow-weak", 1), ("--allow-weak", 0)])
def test_train_exits_with_1_for_a_weak_model_unless_allowed(
    cli: Cli, tiny_bert: Path, bundle: Path, tmp_path: Path, flag: str, code: int
):
    target = tmp_path / "model"
    with verified_here():
        outcome = cli(
            *("train", "--base", tiny_bert, "--data", bundle.parent, "--output", target, flag),
            *("--max-tokens", 64, "--epochs", 1, "--learning-rate", 1e-9, "--train-rows", 12),
        )
    assert outcome.code == code
    assert "FAILED: the model is not worth using" in outcome.out
    assert outcome.out.splitlines()[-1] == f"saved and verified in a fresh process: {target}"
    # A weak model is saved nevertheless, so that it can be inspected.
    assert read_bundle(target).description.data.rows["train"] == 12


def test_evaluate_uses_the_labels_of_the_bundle_for_other_rows(
    cli: Cli, bundle: Path, tmp_path: Path
):
    """The new rows lack one of the labels, and the row limits of training do not apply."""
    for split, count, seed in (("train", 60, 11), ("validation", 12, 12), ("test", 30, 13)):
        rows = [row for row in patent_rows(count, seed) if not row["main_code"].startswith("C")]
        write_jsonl(tmp_path / f"{split}.jsonl", rows)
    outcome = cli("evaluate", bundle, "--data", tmp_path)
    assert "test, 20 rows" in outcome.out
    assert re.search(r"^C +0\.000 +0\.000 +0\.000 +0$", outcome.out, re.MULTILINE)
    assert "has changed" not in outcome.err


def test_evaluate_reports_changed_training_data(cli: Cli, bundle: Path):
    assert "has changed" not in cli("evaluate", bundle).err
    test = bundle.parent / "test.jsonl"
    before = test.read_text(encoding="utf-8")
    try:
        test.write_text(before.splitlines(keepends=True)[0] + before, encoding="utf-8")
        assert "the data has changed since this model was trained" in cli("evaluate", bundle).err
    finally:
        test.write_text(before, encoding="utf-8")


def test_classify_exits_with_1_if_every_row_fails(cli: Cli, bundle: Path, tmp_path: Path):
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": ""}, {"text": None}])
    assert cli("classify", source, "-o", tmp_path / "out.csv", "--model", bundle).code == 1
    assert (tmp_path / "out.csv").is_file()


def test_the_same_commands_work_with_a_small_llama(
    cli: Cli, tiny_llama: Path, patents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    flags = ("--epochs", 6, "--batch-tokens", 400, "--max-tokens", 64, "--learning-rate", 5e-3)
    base = ("--base", tiny_llama, "--device", "cpu", "--allow-weak")
    with verified_here():
        trained = cli("train", "--data", patents, *base, *flags)
    assert trained.code == 0, trained.err
    assert trained.out.startswith("device: cpu, float32")
    assert "saved and verified in a fresh process: final_model" in trained.out
    assert cli("verify", "final_model").code == 0
    assert cli("evaluate", "final_model").code in (0, 1)
    model = ("--model", "final_model")
    assert len(best_of(cli("predict", TEXT, "-k", 3, *model).out)) == 3
    assert (
        cli("classify", patents / "test.jsonl", "-o", "out.csv", *model).out == "out.csv: 24 rows\n"
    )
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        predictions = [row["label"] for row in csv.DictReader(file)]
    y_true = [row["main_code"][0] for row in patent_rows(24, 3)]
    assert sum(a == t for a, t in zip(predictions, y_true, strict=True)) >= 16
