"""Error messages for users, and the exit code of the command line for each way of ending."""

import errno
import inspect
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from patclass.cli.main import run_command
from patclass.cli.options import flag_of
from patclass.core import errors
from patclass.core.errors import ConfigError, PatclassError, cannot_write

ROOT = Path(__file__).resolve().parents[1]
KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if kind.__module__ == errors.__name__
]

Ending = Callable[[], object]


@pytest.fixture(autouse=True)
def _sigterm_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "argv", ["patclass"])
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def exit_code(ending: Ending) -> object:
    with pytest.raises(SystemExit) as stop:
        run_command(click.command()(ending))
    return stop.value.code


def failing(problem: BaseException) -> Ending:
    def ending() -> None:
        raise problem

    return ending


def test_there_are_errors_of_several_kinds():
    assert len(KINDS) > 5


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_caught_in_one_place(kind: type[Exception]):
    assert issubclass(kind, PatclassError)
    assert kind.__doc__


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_one_line_and_exit_code_2(kind: type[Exception], capsys):
    assert exit_code(failing(kind("bad.csv:\n  no text.\nAdd some."))) == 2
    captured = capsys.readouterr()
    assert captured.err == "error: bad.csv: no text. Add some.\n"
    assert captured.out == ""


@pytest.mark.parametrize(("result", "code"), [(0, 0), (1, 1), (130, 130), (None, 0)])
def test_what_a_command_returns_is_the_exit_code(result: int | None, code: int):
    assert exit_code(lambda: result) == code


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), click.exceptions.Abort()])
def test_an_interruption_is_exit_code_130(problem: BaseException, capsys):
    assert exit_code(failing(problem)) == 130
    assert capsys.readouterr().err.strip() == "interrupted"


def test_a_usage_error_is_exit_code_2(capsys):
    assert exit_code(failing(click.UsageError("no TEXT"))) == 2
    assert "Error: no TEXT" in capsys.readouterr().err


STOPPED = """
import os, signal, time
import click
from patclass.cli.main import run_command

def stopped():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)

run_command(click.command()(stopped))
"""


def test_sigterm_is_treated_like_an_interruption():
    """In a process of its own: others may have handlers of their own in that of the tests."""
    done = subprocess.run(
        [sys.executable, "-c", STOPPED],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (130, "interrupted")


def test_a_programming_error_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        run_command(click.command()(failing(ZeroDivisionError())))


def test_a_broken_pipe_is_not_reported_as_a_weak_model():
    with subprocess.Popen(
        [sys.executable, "-m", "patclass", "--help"],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
    assert "Traceback" not in errors
    assert process.returncode not in (1, 130)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_standard_output_on_a_full_disk_is_one_line_and_exit_code_2():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "patclass", "--help"],
            env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=600,
            check=False,
        )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_a_failed_write_reports_target_reason_and_remedy():
    problem = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    message = str(cannot_write(Path("final_model"), problem))
    assert message.startswith("cannot write final_model: No space left on device.")
    assert "another path" in message


def test_a_failed_write_without_a_system_error_keeps_its_own_reason():
    assert "cannot write x: odd" in str(cannot_write("x", OSError("odd")))


def test_the_first_mention_of_a_setting_is_spelt_as_its_flag():
    problem = ConfigError(
        "level class: this model has no such level; lower max_tokens.",
        setting=("level", "max_tokens"),
    )
    assert str(problem) == "level class: this model has no such level; lower max_tokens."
    assert problem.message() == str(problem)
    assert problem.message(flag_of) == (
        "--level class: this model has no such level; lower --max-tokens."
    )


def test_a_setting_that_is_not_mentioned_is_put_first():
    problem = ConfigError("expected a number of max_tokens_each.", setting="max_tokens")
    assert problem.message() == "max_tokens: expected a number of max_tokens_each."
    assert problem.message(flag_of) == "--max-tokens: expected a number of max_tokens_each."


def test_the_command_line_shows_the_flag_of_a_setting(capsys):
    assert exit_code(failing(ConfigError("k 0: expected 1 or more.", setting="k"))) == 2
    assert capsys.readouterr().err == "error: -k 0: expected 1 or more.\n"
