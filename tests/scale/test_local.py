"""Whole jobs by processes of this machine, which are killed while they work."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from helpers import ROOT, full, wait_until
from patclass.scale.job import Part, PartResult
from patclass.scale.local import run_here
from patclass.scale.run import Workers, run_job
from patclass.scale.worker import WorkerError
from scale_jobs import ids_of, request_of, setup_of, write_input

HERE = Workers(run_here, count=2, device="cpu")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "in"


def start(source: Path, folder: Path, bundle: Path) -> "subprocess.Popen[str]":
    """The command in a process of its own, which goes on with what is there."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "patclass", "classify", source, "-o", folder),
            *("--model", bundle, "--workers", "2", "--device", "cpu", "--resume"),
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def done(folder: Path) -> int:
    return len(list(folder.glob("_parts/0*.json")))


@pytest.mark.full
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_worker_that_is_killed_is_replaced(
    tmp_path: Path, source: Path, bundle: Path, share: float
):
    ids = write_input(source, more=8)
    folder = tmp_path / "out"
    process = start(source, folder, bundle)
    parts = wait_for_share(folder, share)
    workers = [
        child
        for child in psutil.Process(process.pid).children()
        if "spawn_main" in " ".join(child.cmdline())
    ]
    workers[0].kill()
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert f"{len(ids):,} rows in {parts} parts" in out
    assert ids_of(folder) == ids


@pytest.mark.parametrize("share", full([0.5], [0.1, 0.5, 0.9]))
def test_a_job_that_is_killed_goes_on(tmp_path: Path, source: Path, bundle: Path, share: float):
    """No row is lost or doubled, and what was done is not done again."""
    ids = write_input(source, more=full(2, 8))
    folder = tmp_path / "out"
    process = start(source, folder, bundle)
    wait_for_share(folder, share)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    wait_until(lambda: not any(is_alive(child) for child in children))  # nobody writes any more
    before = {path: path.stat().st_mtime_ns for path in folder.glob("_parts/0*.json")}
    assert not (folder / "_summary.json").exists()
    process = start(source, folder, bundle)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert ids_of(folder) == ids
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert json.loads((folder / "_summary.json").read_text())["rows"] == len(ids)


def wait_for_share(folder: Path, share: float) -> int:
    """Wait until so many parts are done; return how many there are in all."""
    wait_until(lambda: (folder / "_job.json").exists())
    parts = len(json.loads((folder / "_job.json").read_text())["parts"])
    wait_until(lambda: done(folder) >= share * parts)
    return parts


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_a_worker_that_cannot_begin_ends_the_job_with_the_way_on(
    tmp_path: Path, source: Path, bundle: Path, tree_bundle: Path
):
    write_input(source)
    request = request_of(source, bundle)
    with pytest.raises(WorkerError, match=r"another model here.* 0 of 8 parts are done"):
        run_job(request, str(tree_bundle), str(tmp_path / "out"), HERE)


def die(part: Part) -> PartResult:
    """What the system does to a worker that takes too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_workers_that_die_again_and_again_end_the_job(
    tmp_path: Path, source: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("patclass.scale.local._run", die)
    monkeypatch.setattr("patclass.scale.local._MOST_DEATHS", 2)
    parts = [Part(number=number, file=0, after=0, rows=1) for number in range(2)]
    with pytest.raises(WorkerError, match="die again and again, with 2 parts left"):
        list(run_here(setup_of(tmp_path, bundle), parts, 2))


def test_two_processes_never_work_on_one_job(tmp_path: Path, source: Path, bundle: Path):
    from filelock import FileLock

    from patclass.core.errors import OutputError

    write_input(source)
    (tmp_path / "out").mkdir()
    with (
        FileLock(tmp_path / "out" / "_job.lock"),
        pytest.raises(OutputError, match="another process works on the job"),
    ):
        run_job(request_of(source, bundle), str(bundle), str(tmp_path / "out"), HERE)
