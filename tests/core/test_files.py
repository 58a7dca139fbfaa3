"""Atomic files and folders: on success, failure, a full disk and missing permissions."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import run_script
from patclass.core.errors import BundleError, ModelError, OutputError
from patclass.core.files import (
    atomic_folder,
    atomic_write,
    check_writable,
    file_sha256,
    user_cache,
    write_json,
)

ROOT = Path(__file__).resolve().parents[1]
NOBODY = 65534

# The file size limit simulates a full disk: the kernel refuses bytes in the middle of a write.
FULL_DISK = """
import resource, sys
from pathlib import Path
from patclass.core.errors import OutputError
from patclass.core.files import atomic_write, atomic_folder

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
target = Path(sys.argv[2])
try:
    if sys.argv[1] == "file":
        with atomic_write(target) as aside:
            aside.write_bytes(b"x" * 5000)
    else:
        with atomic_folder(target, "marker") as aside:
            (aside / "marker").write_text("written before the disk is full")
            (aside / "weights").write_bytes(b"x" * 5000)
except OutputError as problem:
    print(problem)
"""

# Root may write anywhere, so the privileges are dropped first; modules are loaded before that,
# because the interpreter itself may be readable by root only.
READ_ONLY = f"""
import os, sys, tempfile
from pathlib import Path
from patclass.core.errors import OutputError
from patclass.core.files import check_writable, atomic_write, atomic_folder

if os.geteuid() == 0:
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
target = Path(sys.argv[2])
kind = {{"file": atomic_write, "folder": lambda path: atomic_folder(path, "marker")}}[sys.argv[1]]
try:
    with kind(target):
        print("the block was entered")
except OutputError as problem:
    print(problem)
"""


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A folder that an unprivileged user can access but not write."""
    folder = Path(tempfile.mkdtemp(prefix="patclass-test-", dir="/tmp"))
    folder.chmod(0o755 if os.geteuid() == 0 else 0o555)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def make_folder(target: Path, content: str) -> None:
    with atomic_folder(target, "marker") as partial:
        (partial / "marker").write_text(content, encoding="utf-8")


def fail_in_file(target: Path, failure: BaseException) -> None:
    with atomic_write(target) as partial:
        partial.write_text("half", encoding="utf-8")
        raise failure


def fail_in_folder(target: Path, failure: BaseException) -> None:
    with atomic_folder(target, "marker") as partial:
        (partial / "marker").write_text("half", encoding="utf-8")
        raise failure


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_the_block_ends_and_not_before(tmp_path: Path):
    target = tmp_path / "new" / "answers.csv"
    with atomic_write(target) as partial:
        partial.write_text("all", encoding="utf-8")
        assert not target.exists()
        assert partial.suffix == ".csv"
    assert target.read_text(encoding="utf-8") == "all"
    assert names(target.parent) == ["answers.csv"]


@pytest.mark.parametrize("failure", [ValueError(), KeyboardInterrupt()])
def test_a_failed_file_leaves_nothing(tmp_path: Path, failure: BaseException):
    with pytest.raises(type(failure)):
        fail_in_file(tmp_path / "answers.csv", failure)
    assert names(tmp_path) == []


def test_a_failed_file_leaves_the_existing_one(tmp_path: Path):
    target = tmp_path / "answers.csv"
    target.write_text("old", encoding="utf-8")
    with pytest.raises(ValueError, match="stop"):
        fail_in_file(target, ValueError("stop"))
    assert target.read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["answers.csv"]


def test_a_file_never_written_is_an_error_that_names_it(tmp_path: Path):
    with pytest.raises(OutputError, match=r"answers\.csv"), atomic_write(tmp_path / "answers.csv"):
        pass
    assert names(tmp_path) == []


def test_a_file_does_not_replace_a_folder(tmp_path: Path):
    target = tmp_path / "answers.csv"
    target.mkdir()
    with pytest.raises(OutputError, match=r"answers\.csv"), atomic_write(target) as partial:
        partial.write_text("all", encoding="utf-8")
    assert names(tmp_path) == ["answers.csv"]
    assert target.is_dir()


def test_a_folder_appears_when_the_block_ends_and_not_before(tmp_path: Path):
    target = tmp_path / "new" / "model"
    with atomic_folder(target, "marker") as partial:
        (partial / "inner").mkdir()
        (partial / "inner" / "marker").write_text("x", encoding="utf-8")
        assert not target.exists()
    assert names(target.parent) == ["model"]
    assert (target / "inner" / "marker").is_file()
    assert target.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("failure", "seen"),
    [
        (OSError(28, "No space left on device"), OutputError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (ValueError(), ValueError),
    ],
)
def test_a_failed_folder_leaves_the_existing_one(
    tmp_path: Path, failure: BaseException, seen: type[BaseException]
):
    target = tmp_path / "model"
    make_folder(target, "first")
    with pytest.raises(seen):
        fail_in_folder(target, failure)
    assert (target / "marker").read_text(encoding="utf-8") == "first"
    assert names(tmp_path) == ["model"]


def test_only_the_previous_folder_is_backed_up(tmp_path: Path):
    target = tmp_path / "model"
    for content in ("first", "second", "third"):
        make_folder(target, content)
    assert names(tmp_path) == ["model", "model.previous"]
    assert (target / "marker").read_text(encoding="utf-8") == "third"
    previous = tmp_path / "model.previous"
    assert (previous / "marker").read_text(encoding="utf-8") == "second"


def test_a_foreign_folder_is_refused_and_left_unchanged(tmp_path: Path):
    target = tmp_path / "thesis"
    target.mkdir()
    (target / "chapter.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(OutputError, match="thesis exists"), atomic_folder(target, "marker"):
        pytest.fail("the block must not be entered")
    assert (target / "chapter.txt").read_text(encoding="utf-8") == "years of work"
    assert names(tmp_path) == ["thesis"]


def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path):
    (tmp_path / "model").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match="model exists"):
        make_folder(tmp_path / "model", "new")
    assert (tmp_path / "model").read_text(encoding="utf-8") == "mine"


def test_an_empty_folder_may_be_filled(tmp_path: Path):
    (tmp_path / "model").mkdir()
    make_folder(tmp_path / "model", "new")
    assert (tmp_path / "model" / "marker").read_text(encoding="utf-8") == "new"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_full_disk_is_an_error_that_names_the_target(tmp_path: Path, kind: str):
    target = tmp_path / "out" / "answers.csv"
    message = run_script(FULL_DISK, kind, target)
    assert message.startswith(f"cannot write {target}: File too large")
    assert "Free disk space" in message
    assert names(target.parent) == []


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_read_only_folder_is_refused_before_any_work(read_only: Path, kind: str):
    if not hasattr(os, "setuid"):
        pytest.skip("this system has no user ids to give up rights with")
    message = run_script(READ_ONLY, kind, read_only / "answers.csv")
    assert message.startswith(f"cannot write {read_only / 'answers.csv'}: Permission denied")
    assert names(read_only) == []


def test_a_file_as_parent_is_an_error_that_names_the_target(tmp_path: Path):
    (tmp_path / "notes").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match=r"cannot write .*notes/model"):
        check_writable(tmp_path / "notes" / "model")
    assert (tmp_path / "notes").read_text(encoding="utf-8") == "mine"


def test_json_is_readable_and_ends_with_a_newline(tmp_path: Path):
    write_json(tmp_path / "x.json", {"größe": [1, 2]})
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"größe": [1, 2]}
    assert "größe" in text
    assert text.endswith("}\n")


def test_leftovers_of_a_killed_process_with_the_same_pid_are_ignored(tmp_path: Path):
    left = tmp_path / f".model.partial-{os.getpid()}"
    left.mkdir()
    (left / "half").write_text("torn")
    with atomic_folder(tmp_path / "model", "marker") as partial:
        (partial / "marker").write_text("whole")
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "marker"]


@pytest.mark.parametrize("error", [BundleError, ModelError])
def test_the_caller_chooses_the_error_for_an_unreadable_file(
    tmp_path: Path, error: type[Exception]
):
    with pytest.raises(error, match=r"cannot read .*gone: No such file"):
        file_sha256(tmp_path / "gone", error)


def test_what_can_be_made_again_is_in_the_folder_of_caches(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache("offices") == tmp_path / "patclass" / "offices"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_cache("offices") == tmp_path / ".cache" / "patclass" / "offices"
