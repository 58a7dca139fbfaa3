"""Progress of long work: a bar on a terminal, a line every 30 seconds elsewhere. Knows no work.

Lines are for logs (nohup, CI, a container): a thread writes them, so that one also appears while
a single step takes longer than that.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Protocol, TypeVar

from tqdm import tqdm

INTERVAL = 30.0  # seconds between lines

T = TypeVar("T")


class ProgressBar(Protocol):
    """What long work reports to."""

    def update(self, n: int = 1) -> object:
        """Count ``n`` more units as done."""

    def set_postfix_str(self, s: str, refresh: bool = False) -> None:
        """Show figures, such as a loss, after the count."""

    def write(self, s: str) -> None:
        """Print a line to standard output without disturbing the progress."""


class ProgressLines:
    """Progress without a terminal: ``line`` says where the work is."""

    def __init__(
        self,
        description: str,
        total: int | None,
        unit: str,
        initial: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the clock.

        :param total: units in all, which may be estimated; None if unknown.
        :param initial: units that were done before, by an earlier run.
        :param clock: seconds, increasing.
        """
        self.description, self.total, self.unit = description, total, unit
        self.initial = self.done = initial
        self.figures = ""
        self._clock, self._began = clock, clock()

    def update(self, n: int = 1) -> None:
        """Count ``n`` more units as done."""
        self.done += n

    def set_postfix_str(self, s: str, refresh: bool = False) -> None:
        """Show figures, such as a loss, after the count."""
        self.figures = s

    def write(self, s: str) -> None:
        """Print a line to standard output."""
        sys.stdout.write(f"{s}\n")
        sys.stdout.flush()

    def line(self) -> str:
        """``training: 20 of 80 steps (25 %), 1:30 left, loss 0.512``."""
        seconds = self._clock() - self._began
        parts = [f"{self.done:,} {self.unit}s"]
        if self.total and self.done <= self.total:  # it may be an estimate
            share = self.done / self.total
            parts = [f"{self.done:,} of {self.total:,} {self.unit}s ({share:.0%})"]
        new = self.done - self.initial
        if self.total and new and self.done <= self.total:
            parts.append(f"{_clock_time(seconds / new * (self.total - self.done))} left")
        else:
            parts.append(f"{_clock_time(seconds)} elapsed")
        return f"{self.description}: {', '.join([*parts, *filter(None, [self.figures])])}"

    def run(self, wait: Callable[[float], bool]) -> None:
        """Write a line to standard error after every interval.

        :param wait: sleeps for so many seconds; true when the work is done.
        """
        while not wait(INTERVAL):
            sys.stderr.write(f"{self.line()}\n")
            sys.stderr.flush()


_silent = False


@contextmanager
def silenced(silent: bool = True) -> Iterator[None]:
    """Show no progress in the block, where another process shows that of the same work."""
    global _silent
    before, _silent = _silent, silent
    try:
        yield
    finally:
        _silent = before


class _Silence:
    """Progress that nobody sees."""

    def update(self, n: int = 1) -> None: ...

    def set_postfix_str(self, s: str, refresh: bool = False) -> None: ...

    def write(self, s: str) -> None: ...


@contextmanager
def progress(
    description: str,
    total: int | None = None,
    unit: str = "row",
    initial: int = 0,
    leave: bool = True,
) -> Iterator[ProgressBar]:
    """Show the progress of a block on standard error.

    :param leave: keep the full bar on the terminal.
    """
    if _silent:
        yield _Silence()
        return
    if sys.stderr.isatty():
        with tqdm(total=total, desc=description, unit=unit, initial=initial, leave=leave) as bar:
            yield bar
        return
    lines, done = ProgressLines(description, total, unit, initial), threading.Event()
    writer = threading.Thread(target=lines.run, args=(done.wait,), daemon=True)
    writer.start()
    try:
        yield lines
    finally:
        done.set()
        writer.join()


def track(
    items: Iterable[T],
    description: str,
    total: int | None = None,
    unit: str = "row",
    leave: bool = True,
) -> Iterator[T]:
    """The items, with the progress of the loop over them."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with progress(description, total, unit, leave=leave) as shown:
        for item in items:
            yield item
            shown.update()


def _clock_time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
