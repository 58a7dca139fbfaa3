"""Invalid flags, files, disk or hub: an error of one line that names the cause, and exit code 2."""

import io
import json
import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from conftest import Run, write_jsonl
from helpers import CANNOT_GIVE_UP, Cli, Outcome, run_script
from patclass.bundle import registry

ABSENT_DEVICE = "mps" if torch.cuda.is_available() else "cuda"
TEN_MEGABYTES = 10_000_000
LONG_NAME = "x" * 300

# Runs the command line once and returns its exit code and error output, tracebacks included.
CALL = """
import contextlib, io, json, sys, traceback
from patclass.cli.main import run

def call(arguments, output):
    sys.argv = ["patclass", *arguments]
    errors, code = io.StringIO(), None
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            run()
        except SystemExit as stop:
            code = stop.code
        except BaseException:
            traceback.print_exc()
    return json.dumps([code, errors.getvalue()])
"""


class FullDisk(io.StringIO):
    """Output of a run, during which the disk is full from a message on.

    A limit on the size of files stands for the disk, so that each kind of file is affected.
    """

    def __init__(self, message: str, size: int) -> None:
        super().__init__()
        self._message, self._size = message, size

    def write(self, text: str) -> int:
        if self._message in text:
            limit_file_size(self._size)
        return super().write(text)


def limit_file_size(size: int | None) -> None:
    """Let files of this process have at most ``size`` bytes; None for no limit."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size is None else size, hard))


# Root may read and write anywhere, so the privileges are dropped first; modules are loaded before
# that, because the interpreter itself may be readable by root only.
NO_RIGHTS = f"""{CALL}
import os
import patclass.inference.files, patclass.training.run

calls = json.loads(sys.argv[1])
if os.geteuid() == 0:
    try:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    except PermissionError:
        sys.exit({CANNOT_GIVE_UP})
for arguments in calls:
    print(call(arguments, io.StringIO()))
"""


@pytest.fixture
def results_folder(tmp_path: Path) -> Path:
    """An empty folder for results."""
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


@pytest.fixture
def train(cli: Cli, tiny_bert: Path, patents: Path, results_folder: Path) -> Cli:
    """Train a tiny model on valid data, with the given flags."""
    usual = ("--base", tiny_bert, "--data", patents, "--max-tokens", 64, "--epochs", 1)
    return lambda *flags: cli("train", *usual, "--output", results_folder / "model", *flags)


def check_refused(outcome: Outcome, *named: object) -> None:
    """Exit code 2 and an error of one line that names the cause."""
    assert "Traceback" not in outcome.err
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    for value in named:
        assert str(value) in outcome.err


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--base", "nosuch"), ("'nosuch'", "minilm", "llama-3.2-1b")),
        (("--text", "nosuch"), ("'nosuch'", "abstract")),
        (("--text", "title+claims"), ("'claims'", "abstract")),
        (("--labels", "group"), ("'group'", "subclass")),
        (("--labels", "A61,nonsense"), ("nonsense",)),
        (("--codes", "nosuch", "--labels", "class"), ("--codes 'nosuch'", "main_code")),
        (("--data", "missing.csv"), ("'missing.csv'",)),
        (("--data", "nosuch"), ("'nosuch'", "sample")),
        (("--max-tokens", "129"), ("129", "at most 128")),
        (("--max-tokens", "many"), ("--max-tokens 'many'",)),
        (("--epochs", "0"), ("--epochs '0'",)),
        (("--learning-rate", "nan"), ("--learning-rate 'nan'",)),
        (("--device", ABSENT_DEVICE), (f"--device {ABSENT_DEVICE}", "cpu")),
        (("--device", "abacus"), ("--device 'abacus'",)),
        (("--targets", "nosuch"), ("nosuch", "query")),
        (("--config", "missing.toml"), ("missing.toml",)),
        (("--resume",), ("nothing to resume", "model.run")),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("--") else "",
)
def test_training_refuses_a_wrong_value(
    train: Cli, results_folder: Path, flags: tuple[str, ...], named: tuple[str, ...]
):
    check_refused(train(*flags), *named)
    assert not (results_folder / "model").exists()
    assert [path.name for path in results_folder.rglob("*partial*")] == []


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("empty.csv", b"", "empty.csv is empty"),
        ("header.csv", b"text,label\n", "header.csv"),
        ("corrupt.parquet", b"PAR1 not really PAR1", "corrupt.parquet"),
        ("bytes.csv", b"text,label\n\xff\xfe,A\n", "one class only"),
        ("one.csv", b"text,label\nwords,A\nmore words,A\n", "one class only: 'A'"),
        ("unlabelled.csv", b"text,label\nwords,\nmore words,\n", "no label"),
        ("sheet.xlsx", b"PK", "sheet.xlsx"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value[:-3] else "",
)
def test_training_refuses_unusable_data(
    train: Cli, tmp_path: Path, results_folder: Path, name: str, content: bytes, named: str
):
    (tmp_path / name).write_bytes(content)
    check_refused(train("--data", tmp_path / name), name, named)
    assert list(results_folder.iterdir()) == []


def test_training_names_the_file_with_a_missing_column(train: Cli, tmp_path: Path):
    (tmp_path / "blank.jsonl").write_text("\n\n", encoding="utf-8")
    check_refused(train("--data", tmp_path / "blank.jsonl"), "blank.jsonl")


def test_training_refuses_a_row_limit_that_leaves_one_class(
    train: Cli, tmp_path: Path, results_folder: Path
):
    rows = [{"text": f"words {n}", "label": "rare" if n < 2 else "usual"} for n in range(40)]
    data = write_jsonl(tmp_path / "uneven.jsonl", rows)
    check_refused(train("--data", data, "--train-rows", 3), "one label", "--train-rows")
    assert not (results_folder / "model").exists()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("[fit]\nepohcs = 3\n", "unknown key 'epohcs' in [fit]"),
        ("[fit]\nbase = 'minilm'\n", "unknown key 'base' in [fit]"),
        ("[fitt]\nepochs = 3\n", "'[fitt]'"),
        ("epochs = 3\n", "epochs"),
        ("[fit]\nepochs = \n", "line 2"),
        ("[fit]\nwarmup = 'little'\n", "warmup 'little'"),
    ],
)
def test_training_refuses_an_invalid_settings_file(
    train: Cli, tmp_path: Path, results_folder: Path, content: str, named: str
):
    (tmp_path / "run.toml").write_text(content, encoding="utf-8")
    check_refused(train("--config", tmp_path / "run.toml"), named)
    assert list(results_folder.iterdir()) == []


def test_a_misspelt_key_is_reported_with_a_suggestion(train: Cli, tmp_path: Path):
    (tmp_path / "run.toml").write_text("[fit]\nepohcs = 3\n", encoding="utf-8")
    assert "did you mean 'epochs'?" in train("--config", tmp_path / "run.toml").err


def test_a_misspelt_environment_variable_is_named(train: Cli, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATCLASS_TRAIN_EPOHCS", "3")
    check_refused(train(), "PATCLASS_TRAIN_EPOHCS", "'epochs'")


def test_training_does_not_replace_a_foreign_folder(train: Cli, patents: Path):
    before = sorted(path.name for path in patents.iterdir())
    check_refused(train("--output", patents), patents, "not made by patclass")
    assert sorted(path.name for path in patents.iterdir()) == before


def test_the_empty_current_folder_as_output_does_not_crash(
    train: Cli, results_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(results_folder)
    check_refused(train("--output", "."), "--output")


@pytest.mark.parametrize("flags", [("--epohcs", "3"), ("--max-tokns=9",), ("-x",)])
def test_a_misspelt_flag_is_reported_with_the_usage(patclass: Run, flags):
    done = patclass("train", *flags)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Usage: ")
    assert flags[0].split("=")[0] in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("k", ["0", "101", "many"])
def test_an_invalid_number_of_labels_is_refused(cli: Cli, k: str):
    outcome = cli("predict", "words", "-k", k)
    assert outcome.code == 2
    assert outcome.err.startswith("Usage: ")
    assert f"'-k': {k} is not" in outcome.err.replace(f"'{k}'", k)


@pytest.mark.parametrize(
    "command",
    [
        ("predict", "words", "--model"),
        ("verify",),
        ("evaluate",),
        ("compare", "BUNDLE"),
        ("classify", "IN", "-o", "OUT", "-m"),
    ],
    ids=lambda command: command[0],
)
def test_a_folder_that_is_not_a_bundle_is_refused(
    cli: Cli, bundle: Path, patents: Path, results_folder: Path, command: tuple[str, ...]
):
    files = {"IN": patents / "test.jsonl", "OUT": results_folder / "out.csv", "BUNDLE": bundle}
    check_refused(cli(*(files.get(part, part) for part in command), patents), patents, "manifest")
    assert list(results_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--level", "class"), ("--level class", "has section")),
        (("--level", "nonsense"), ("--level nonsense", "has section")),
        (("--threshold", "90"), ("--threshold 90", "probability")),
        (("--threshold", "nan"), ("--threshold nan", "probability")),
        (("--coverage", "1.5"), ("1.5", "between 0 and 1")),
        (("--coverage", "nan"), ("nan", "between 0 and 1")),
        (("--coverage", "0.99"), ("0.99", "held-out rows")),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("--") else "",
)
@pytest.mark.parametrize("command", ["predict", "classify"])
def test_invalid_prediction_options_are_refused(
    cli: Cli,
    bundle: Path,
    patents: Path,
    results_folder: Path,
    command: str,
    flags: tuple[str, ...],
    named: tuple[str, ...],
):
    what = (
        ("words",)
        if command == "predict"
        else (patents / "test.jsonl", "-o", results_folder / "out.csv")
    )
    check_refused(cli(command, *what, *flags, "--model", bundle), *named)
    assert list(results_folder.iterdir()) == []


@pytest.mark.parametrize(
    "flags", [("--neighbours", "101"), ("--neighbours", "-1"), ("--coverage", "a")]
)
def test_a_number_out_of_range_is_refused(cli: Cli, flags: tuple[str, str]):
    outcome = cli("predict", "words", *flags)
    assert outcome.code == 2
    assert outcome.err.startswith("Usage: ")
    assert flags[0] in outcome.err


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--baselines", "class"), ("class", "has section")),
        (("--baselines", "auto"), ("auto", "section")),
        (("--truncation", "nonsense"), ("--truncation", "nonsense", "windows")),
        (("-o", "report.pdf"), ("report.pdf", ".html or .json")),
        (("-o", "report.png"), ("report.png", ".html or .json")),
        (("-o", "report"), ("report", ".html or .json")),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("--") else "",
)
def test_evaluate_refuses_invalid_options(
    cli: Cli,
    bundle: Path,
    results_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: tuple[str, ...],
    named: tuple[str, ...],
):
    monkeypatch.chdir(results_folder)
    check_refused(cli("evaluate", bundle, *flags), *named)
    assert list(results_folder.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [("predict", "words", "--model"), ("verify",), ("evaluate",), ("compare", "shipped")],
    ids=lambda command: command[0],
)
def test_a_missing_shipped_model_is_reported(
    cli: Cli, results_folder: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
):
    monkeypatch.setattr(registry.resources, "files", lambda name: results_folder)
    check_refused(cli(*command, "shipped"), "no shipped model", "patclass train")


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("missing.csv", None, "cannot read"),
        ("empty.csv", b"", "is empty"),
        ("empty.parquet", b"", "is empty"),
        ("corrupt.parquet", b"PAR1 not really PAR1", "not a readable Parquet file"),
        ("bytes.jsonl", bytes(range(128, 256)), "has no columns"),
        ("notes.docx", b"text\nwords\n", "'.docx' is no known format"),
        ("README", b"text\nwords\n", "README"),
        ("other.csv", b"id,remarks\n1,words\n", "'remarks'"),
        ("other.jsonl", b'{"id": 1, "remarks": "words"}\n', "'remarks'"),
    ],
)
def test_classify_refuses_a_file_it_cannot_read(
    cli: Cli, bundle: Path, tmp_path: Path, results_folder: Path, name: str, content, named: str
):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    outcome = cli("classify", tmp_path / name, "-o", results_folder / "out.csv", "--model", bundle)
    check_refused(outcome, name, named)
    assert list(results_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--title", "nosuch"), ("--title 'nosuch'", "'abstract'")),
        (("--text", "title+nosuch"), ("'nosuch'", "abstract")),
        (("--columns", "id,nosuch"), ("--columns 'nosuch'", "'title'")),
        (("--delimiter", ";;"), ("--delimiter ';;'", "'tab'")),
        (("--encoding", "utf-9"), ("--encoding 'utf-9'", "cp1252")),
        (("--sheet", "x"), ("--sheet does not apply", "JSON lines")),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("--") else "",
)
def test_classify_refuses_to_read_a_file_in_a_way_that_does_not_fit(
    cli: Cli,
    bundle: Path,
    patents: Path,
    results_folder: Path,
    flags: tuple[str, ...],
    named: tuple[str, ...],
):
    source, target = patents / "test.jsonl", results_folder / "out.csv"
    check_refused(cli("classify", source, "-o", target, "--model", bundle, *flags), *named)
    assert list(results_folder.iterdir()) == []


@pytest.mark.parametrize("name", ["out.xlsx", "out.json"])
def test_classify_refuses_a_format_it_cannot_write(
    cli: Cli, bundle: Path, patents: Path, results_folder: Path, name: str
):
    outcome = cli(
        "classify", patents / "test.jsonl", "-o", results_folder / name, "--model", bundle
    )
    check_refused(outcome, name, "no known format")
    assert list(results_folder.iterdir()) == []


def test_classify_does_not_write_over_its_input(cli: Cli, bundle: Path, patents: Path):
    source = patents / "test.jsonl"
    before = source.read_bytes()
    check_refused(
        cli("classify", source, "-o", source, "--model", bundle), source, "the input itself"
    )
    assert source.read_bytes() == before


def test_a_text_of_ten_megabytes_is_refused(cli: Cli, bundle: Path):
    outcome = cli("predict", "x" * TEN_MEGABYTES, "--model", bundle)
    check_refused(outcome, "10,000,000 characters", "1,000,000")


def test_ten_megabytes_on_standard_input_are_refused(patclass: Run, bundle: Path):
    done = patclass("predict", "--model", bundle, input="x" * TEN_MEGABYTES)
    assert done.stdout == ""
    check_refused(Outcome(done.returncode, done.stderr), "1,000,000")


def test_the_size_of_standard_input_is_reported_correctly(cli: Cli, bundle: Path):
    outcome = cli("predict", "--model", bundle, stdin=b"x" * TEN_MEGABYTES)
    check_refused(outcome, "1,000,000")
    assert "4,000,004" not in outcome.err


@pytest.mark.parametrize(
    ("stdin", "named"),
    [
        *((b"", "no text"), (b" \n", "no text"), (b"\xff\xfe", "no text")),
        (b"a \x81 loom", "standard input: no text in UTF-8, UTF-16 or Windows-1252: "),
    ],
)
def test_unusable_standard_input_is_refused(cli: Cli, bundle: Path, stdin: bytes, named: str):
    check_refused(cli("predict", "--model", bundle, stdin=stdin), named)


def test_an_argument_that_is_not_utf8_is_classified_or_refused(cli: Cli, bundle: Path):
    outcome = cli("predict", "circuit \udcff", "--model", bundle)
    assert outcome.code in (0, 2)


@pytest.mark.parametrize(
    "command",
    [
        ("predict", "words", "--model", LONG_NAME),
        ("verify", LONG_NAME),
        ("train", "--base", LONG_NAME),
        ("train", "--data", LONG_NAME),
        ("train", "--output", LONG_NAME),
        ("train", "--config", LONG_NAME),
        ("classify", f"{LONG_NAME}.csv", "-o", "out.csv"),
        ("classify", "in.csv", "-o", f"{LONG_NAME}.csv"),
    ],
    ids=lambda command: " ".join(command).replace(LONG_NAME, "LONG"),
)
def test_a_name_too_long_for_the_system_is_refused(
    cli: Cli, results_folder: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
):
    monkeypatch.chdir(results_folder)
    (results_folder / "in.csv").write_text("text\nwords\n", encoding="utf-8")
    check_refused(cli(*command), LONG_NAME)
    assert [path.name for path in results_folder.iterdir()] == ["in.csv"]


def test_a_gated_base_without_token_and_network_is_explained(
    train: Cli, tmp_path: Path, results_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_TOKEN", "")
    check_refused(train("--base", "llama-3.2-1b"), "Llama-3.2-1B", "HF_TOKEN", "minilm")
    assert list(results_folder.iterdir()) == []


# The file that fills the disk: the message that lowers the limit, and the limit in bytes.
FULL = {
    "curve": ("section: ", 2000, ("--batch-tokens", "60")),
    "best epoch": ("section: ", 1500, ()),
    "checkpoint": ("section: ", 8000, ()),
    "adapter": ("evaluating", 1000, ()),
    "tokenizer": ("evaluating", 4000, ()),
    "picture": ("evaluating", 19_000, ()),
    "page": ("evaluating", 40_000, ()),
}


@pytest.mark.parametrize("case", FULL)
def test_a_full_disk_while_training_or_saving_is_refused(
    case: str,
    cli: Cli,
    tiny_bert: Path,
    bundle: Path,
    results_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    message, size, flags = FULL[case]
    usual = ("--base", tiny_bert, "--data", bundle.parent, "--max-tokens", 64, "--epochs", 1)
    monkeypatch.setattr("sys.stdout", FullDisk(message, size))
    try:
        outcome = cli("train", *usual, "--r", 1, *flags, "--output", results_folder / "model")
    finally:
        limit_file_size(None)
    check_refused(outcome, f"cannot write {results_folder}", "File too large")
    assert [path.name for path in results_folder.rglob("*partial*")] == []
    assert not (results_folder / "model").exists()
    assert (results_folder / "model.run" / "settings.json").is_file()


@pytest.fixture(scope="module")
def unprivileged() -> Iterator[tuple[Path, list[Outcome]]]:
    """An unwritable folder, an unreadable one, and the error output for both."""
    if not hasattr(os, "setuid"):
        pytest.skip("this system has no user ids to give up rights with")
    home = Path(tempfile.mkdtemp(prefix="patclass-test-", dir="/tmp"))
    (home / "in.csv").write_text("text\nwords\n", encoding="utf-8")
    (home / "closed").mkdir(mode=0o000)
    home.chmod(0o755 if os.geteuid() == 0 else 0o555)
    calls = [
        ["train", "--data", "sample", "--output", str(home / "model")],
        ["classify", str(home / "in.csv"), "-o", str(home / "out.csv")],
        ["predict", "words", "--model", str(home / "closed" / "model")],
    ]
    printed = run_script(NO_RIGHTS, json.dumps(calls))
    yield home, [Outcome(*json.loads(line)) for line in printed.splitlines()]
    home.chmod(0o755)
    (home / "closed").chmod(0o755)
    shutil.rmtree(home)


@pytest.mark.parametrize(("call", "name"), [(0, "model"), (1, "out.csv")])
def test_a_read_only_folder_is_refused(
    unprivileged: tuple[Path, list[Outcome]], call: int, name: str
):
    home, outcomes = unprivileged
    check_refused(outcomes[call], f"cannot write {home / name}: Permission denied")
    assert sorted(path.name for path in home.iterdir()) == ["closed", "in.csv"]


def test_a_bundle_that_may_not_be_read_is_refused(unprivileged: tuple[Path, list[Outcome]]):
    home, outcomes = unprivileged
    check_refused(outcomes[2], home / "closed")
