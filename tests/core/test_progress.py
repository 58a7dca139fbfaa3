"""Progress: lines without a terminal, timed by a fake clock; a bar on a terminal."""

import io
import sys
import threading

import pytest

from patclass.core import progress as module
from patclass.core.progress import INTERVAL, ProgressLines, progress, silenced, track


class Clock:
    """A clock that advances only on demand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_line_has_count_share_time_left_and_figures(clock: Clock):
    lines = ProgressLines("training", 80, "step", clock=clock)
    lines.update(20)
    lines.set_postfix_str("loss 0.512, 5,100 tokens/s")
    clock.now += 30
    expected = "training: 20 of 80 steps (25%), 1:30 left, loss 0.512, 5,100 tokens/s"
    assert lines.line() == expected


def test_the_time_left_is_estimated_from_this_run_only(clock: Clock):
    lines = ProgressLines("training", 10_000, "step", initial=9_000, clock=clock)
    clock.now += 3_700
    assert lines.line() == "training: 9,000 of 10,000 steps (90%), 1:01:40 elapsed"
    lines.update(500)
    assert lines.line() == "training: 9,500 of 10,000 steps (95%), 1:01:40 left"


def test_without_a_total_the_elapsed_time_is_shown(clock: Clock):
    lines = ProgressLines("reading train", None, "row", clock=clock)
    lines.update(1_500)
    clock.now += 61
    assert lines.line() == "reading train: 1,500 rows, 1:01 elapsed"


def test_an_estimate_that_was_too_low_is_left_out(clock: Clock):
    lines = ProgressLines("classifying", 90, "row", clock=clock)
    lines.update(100)
    clock.now += 60
    assert lines.line() == "classifying: 100 rows, 1:00 elapsed"


def test_a_line_is_written_every_30_seconds(clock: Clock, capsys: pytest.CaptureFixture[str]):
    lines = ProgressLines("scoring", 4, "row", clock=clock)

    def wait(seconds: float) -> bool:
        assert seconds == INTERVAL == 30
        clock.now += seconds
        lines.update()
        return lines.done == 4

    lines.run(wait)
    assert capsys.readouterr().err.splitlines() == [
        "scoring: 1 of 4 rows (25%), 1:30 left",
        "scoring: 2 of 4 rows (50%), 1:00 left",
        "scoring: 3 of 4 rows (75%), 0:30 left",
    ]


def test_short_work_writes_nothing_and_leaves_no_thread(capsys: pytest.CaptureFixture[str]):
    before = threading.active_count()
    assert list(track(range(3), "counting")) == [0, 1, 2]
    assert threading.active_count() == before
    assert capsys.readouterr() == ("", "")


def test_lines_appear_while_a_single_step_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(module, "INTERVAL", 0.001)
    lines, seen = [], threading.Event()
    monkeypatch.setattr(ProgressLines, "line", lambda self: (seen.set(), lines.append(1), "x")[2])
    with progress("fitting", 3, "model"):
        assert seen.wait(10)
    assert capsys.readouterr().err.startswith("x\n")


def test_messages_go_to_standard_output(capsys: pytest.CaptureFixture[str]):
    with progress("training", 3, "step") as shown:
        shown.write("epoch 1/3")
    assert capsys.readouterr() == ("epoch 1/3\n", "")


def test_a_terminal_shows_a_progress_bar(monkeypatch: pytest.MonkeyPatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress("scoring", 4) as shown:
        shown.update(4)
    assert "scoring: 100%" in terminal.getvalue()
    assert "4/4" in terminal.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_silenced_work_shows_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: bool
):
    monkeypatch.setattr(module, "INTERVAL", 0.01)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    with silenced(), progress("training", 3, "step") as bar:
        bar.update()
        bar.set_postfix_str("loss 1")
        bar.write("epoch 1")
    assert capsys.readouterr() == ("", "")
    with silenced(False), progress("training", 3, "step") as bar:
        bar.write("epoch 1")
    assert "epoch 1" in "".join(capsys.readouterr())
