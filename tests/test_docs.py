"""The documentation is tested: commands, links, the settings page."""

import csv
import io
import re
import runpy
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

import office_documents as office
from conftest import ROOT, patent_rows, write_jsonl
from helpers import full, verified_here
from patclass.cli.main import main
from patclass.core.errors import PatclassError

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]

# Small enough for a test; flags in the documents take precedence.
SMALL = {"TRAIN_ROWS": "24", "VALIDATION_ROWS": "9", "TEST_ROWS": "12", "EPOCHS": "1"}


def commands(page: Path) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


@pytest.fixture
def workplace(tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the files that the documents mention.

    Only in the full lane, the base is the real one and bundles are verified in a new process.
    """
    monkeypatch.chdir(tmp_path)
    for name, value in SMALL.items():
        monkeypatch.setenv(f"PATCLASS_TRAIN_{name}", value)
    monkeypatch.setenv("PATCLASS_TRAIN_ALLOW_WEAK", "true")
    rows = patent_rows(60)
    for name in ("patents.csv", "new-patents.csv"):
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
    (tmp_path / "abstract.txt").write_text(rows[0]["abstract"], encoding="utf-8")
    write_jsonl(tmp_path / "patents.jsonl", rows)
    (tmp_path / "patents").mkdir()
    write_jsonl(tmp_path / "patents" / "first.jsonl", rows)
    if full(False, True):
        yield tmp_path
        return
    monkeypatch.setenv("PATCLASS_TRAIN_BASE", str(tiny_bert))
    monkeypatch.setenv("PATCLASS_TRAIN_MAX_TOKENS", "128")
    with verified_here(drawn=True):
        yield tmp_path


def run(line: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run one ``patclass`` line in this process, with ``<`` as a shell has it."""
    words = shlex.split(line)
    if "<" in words:
        at = words.index("<")
        raw = io.BytesIO(Path(words[at + 1]).read_bytes())
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(raw))
        words = words[:at]
    return main(words[1:], standalone_mode=False) or 0


def test_the_commands_of_the_readme_run_in_order(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    # tests/service runs the server, tests/cli/test_export.py the export, which takes minutes.
    # tests/ui runs the page.
    apart = ("patclass serve", "patclass export", "patclass ui")
    every = [line for line in commands(ROOT / "README.md") if line.startswith("patclass ")]
    lines = [line for line in every if not line.startswith(apart)]
    assert len(lines) >= 6
    assert len(every) == len(lines) + 3
    for line in lines:
        # On so few rows a model need not beat its baseline, and 'evaluate' then exits with 1.
        allowed = (0, 1) if line.startswith("patclass evaluate") else (0,)
        assert run(line, monkeypatch) in allowed, line
    assert (workplace / "answers.parquet").is_file()
    assert capsys.readouterr().out


def write_exports(folder: Path) -> None:
    """What the page of first steps begins with: exports, and documents of an office."""
    rows = patent_rows(60)
    espacenet = ["1000 results found", *[""] * 6, "No;Title;Publication number;CPC"]
    espacenet += [f"{n};{row['title']};EP{n}A1;{row['main_code']}" for n, row in enumerate(rows)]
    (folder / "espacenet.csv").write_text("\n".join(espacenet), encoding="utf-8")
    (folder / "list.csv").write_text("Nr,Kurztext\n1,A pump\n", encoding="utf-8")
    with (folder / "lens.csv").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(["#", "Display Key", "Title", "Abstract", "CPC Classifications"])
        for number, row in enumerate(rows):
            writer.writerow(
                [number, f"US {number} A1", row["title"], row["abstract"], row["main_code"]]
            )
    grants = [
        office.grant(str(11000000 + number), title=row["title"]).replace(
            "<section>F</section>", f"<section>{row['main_code'][0]}</section>"
        )
        for number, row in enumerate(rows)
    ]
    (folder / "grants.xml").write_text("".join(grants), encoding="utf-8")
    (folder / "downloads").mkdir()
    (folder / "downloads" / "old.txt").write_text(office.GREENBOOK, encoding="utf-8")


def test_the_first_steps_run_in_order(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    write_exports(workplace)
    for line in commands(ROOT / "docs" / "first-steps.md"):
        # On so few rows a model need not beat its baseline, and 'evaluate' then exits with 1.
        assert run(line, monkeypatch) in ((0, 1) if "evaluate" in line else (0,)), line
    told = capsys.readouterr().err
    assert "header in line 8; id: Publication number, title: Title" in told
    assert "list.csv: read as ','; id: Nr, title: Kurztext" in told.replace(
        ", UTF-8, header in line 1", ""
    )
    assert "grants.xml: patent documents in XML" in told


def test_the_python_of_the_readme_runs():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    scope: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), scope)
    assert {"A", "D", "H"} <= {code[0] for code in scope["classifier"].classes_}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_exists(page: Path):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for line in commands(page):
        words = shlex.split(line)
        if words[0] == "make":
            assert words[1] in targets
        elif words[0] == "patclass":
            assert words[1] in main.commands
        elif words[0] == "python":
            assert (ROOT / words[1]).is_file()
        elif words[0] == "docker":
            services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
            assert words[1] == "compose"
            assert words[2] == "build" or set(words) & set(services)
        elif words[0] == "curl":  # routes are tested in tests/service
            assert any(word.startswith("http://127.0.0.1:9000/") for word in words)
        else:
            assert words[:2] in (["pip", "install"], ["ray", "start"])


def test_every_flag_of_the_original_first_run_is_accepted(monkeypatch: pytest.MonkeyPatch):
    """Without a hub it can only end with the message about how to get the base."""
    from patclass.cli.train import training_command

    scope = runpy.run_path(str(ROOT / "src" / "train.py"))
    command = training_command(scope["FIRST_RUN"])
    lines = [line for line in commands(ROOT / "README.md") if "src/train.py" in line]
    assert len(lines) == 2
    for line in lines:
        with pytest.raises(PatclassError, match="HF_TOKEN"):
            command.main(shlex.split(line)[2:], standalone_mode=False)
    with pytest.raises(click.NoSuchOption):
        command.main(["--nosuch", "1"], standalone_mode=False)


def test_generated_pages_match_the_code():
    scope = runpy.run_path(str(ROOT / "scripts" / "docs.py"))
    pages = {
        name: (ROOT / "docs" / name).read_text("utf-8") for name in ("settings.md", "formats.md")
    }
    assert pages["settings.md"] == scope["page"](), "run 'make docs'"
    assert pages["formats.md"] == scope["formats_page"](pages["formats.md"]), "run 'make docs'"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_link_is_broken(page: Path):
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert link.startswith("https://") or (page.parent / link).exists(), link


def pins(name: str) -> dict[str, list[str]]:
    """The hashes of each pinned package in a lock file."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.split() for line in text.splitlines() if not line.startswith(("#", "-r "))]
    return {words[0]: [word for word in words if word.startswith("--hash=")] for words in lines}


@pytest.mark.parametrize("name", ["", "-serve", "-dev", "-tools"])
def test_the_lock_files_pin_every_dependency_by_its_hashes(name: str):
    found = pins(f"requirements{name}.txt")
    assert found
    for pin, hashes in found.items():
        assert re.fullmatch(r"[a-z0-9-]+==[\w.]+", pin)
        assert hashes
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes), pin


def test_torch_alone_has_no_hashes_and_is_the_version_of_the_extra():
    assert pins("requirements-torch.txt") == {"torch==2.13.0": []}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "torch==2.13.0" in project["optional-dependencies"]["train"]
    assert not [pin for pin in pins("requirements.txt") if pin.startswith("torch==")]


def test_every_locked_package_has_a_licence_in_the_list():
    listed = re.findall(
        r"^\| ([a-z0-9-]+) \| ([\w.]+) \| (.+) \| \w+ \|$",
        (ROOT / "docs" / "licences.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    files = ("requirements.txt", "requirements-torch.txt", "requirements-dev.txt")
    assert {f"{name}=={version}" for name, version, _ in listed} == set().union(*map(pins, files))
    licences = {name: licence for name, _, licence in listed}
    assert "see its files" not in licences.values()
    assert licences["psycopg"].startswith("LGPL")


def test_the_service_lock_file_has_the_tested_versions_and_no_heavy_packages():
    assert pins("requirements-serve.txt").items() < pins("requirements.txt").items()
    names = {pin.split("==")[0] for pin in pins("requirements-serve.txt")}
    assert {"openvino", "uvicorn"} <= names
    assert not names & {
        "torch",
        "transformers",
        "scikit-learn",
        "pandas",
        "pyarrow",
        "ray",
    }
