"""Work in a process of its own, with limits of memory and time. Knows nothing of what is done.

Files of unknown origin are read so: what a library does with a hostile one, whether it asks for all
memory, never ends or crashes, ends that process only. The work is named by a function of a module;
its arguments and its answer are JSON, and larger results are files.
"""

import importlib
import json
import logging
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from patclass.core.errors import DataError

log = logging.getLogger(__name__)

# Of the environment, only this is passed on: a process that reads hostile files has no secrets.
_PASSED_ON = ("PATH", "PYTHON", "LANG", "LC_", "LD_LIBRARY_PATH", "TMPDIR", "TEMP", "SYSTEMROOT")

# Threads and pools reserve addresses, which count as memory. The work is bounded, not parallel.
_SMALL = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "ARROW_IO_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "2",
}

_NICENESS = 5  # who answers requests on the same processor comes first

# Of a crash, what is logged: places in the code, no content.
_FRAMES = 6


@dataclass(frozen=True)
class Limits:
    """What a process may use.

    :param memory: in bytes.
    :param seconds: of the processor; by the clock, three times as many.
    :param remedy: what a user can do where that is not enough.
    :param purpose: what cannot be done where it is not, for messages.
    :param cause: why the work may have failed in another way.
    :param reserved: bytes of addresses that may be reserved besides, without being used: the engine
        that draws charts does so.
    """

    memory: int
    seconds: int
    remedy: str
    purpose: str = "be read"
    cause: str = "as it seems to be damaged"
    reserved: int = 0


_limited = False


def is_limited() -> bool:
    """Whether this process is one with limits: what is called in it has them already."""
    return _limited


def call(function: Callable[..., Any], limits: Limits, what: str, **arguments: Any) -> Any:
    """The answer of a function, which is called in a process with limits.

    :param function: one of the level of a module.
    :param what: what is worked on, for messages: the name of a file.
    :param arguments: as JSON has them; so is the answer.
    :raises DataError: that of the function, or one that says which limit was exceeded.
    """
    if _limited:
        return function(**arguments)
    task = {
        "module": function.__module__,
        "function": function.__name__,
        "arguments": arguments,
        "memory": limits.memory,
        "reserved": limits.reserved,
        "seconds": limits.seconds,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", __name__],
            input=json.dumps(task).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # libraries write what they read there
            env=_environment(),
            timeout=3 * limits.seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _takes_too_long(what, limits) from None
    return _answer(done.returncode, done.stdout, limits, what)


def _environment() -> dict[str, str]:
    passed = {key: value for key, value in os.environ.items() if key.startswith(_PASSED_ON)}
    return passed | _SMALL


def _answer(code: int, output: bytes, limits: Limits, what: str) -> Any:
    try:
        answer: dict[str, Any] = json.loads(output)
    except ValueError:
        answer = {"ended": code}
    if "value" in answer:
        return answer["value"]
    if "error" in answer:
        raise DataError(answer["error"], setting=tuple(answer["settings"]))
    if code == -signal.SIGXCPU:
        raise _takes_too_long(what, limits)
    if "crash" in answer:
        log.error("a process with limits failed: %s", answer["crash"])
        raise DataError(f"{what} cannot {limits.purpose}, {limits.cause}. {limits.remedy}")
    raise DataError(
        f"{what} needs more than {limits.memory >> 20:,} MB of memory to {limits.purpose}, or is "
        f"damaged. {limits.remedy}"
    )


def _takes_too_long(what: str, limits: Limits) -> DataError:
    return DataError(
        f"{what} takes more than {limits.seconds} seconds to {limits.purpose}. {limits.remedy}"
    )


def _main() -> None:
    """Read a task from standard input, and write its answer to standard output."""
    global _limited
    _limited = True
    sys.modules[f"{__package__}.bounded"] = sys.modules[__name__]  # the same to what is imported
    task = json.load(sys.stdin)
    # What a library prints is not part of the answer.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    answer: Mapping[str, Any]
    try:
        function = getattr(importlib.import_module(task["module"]), task["function"])
        _limit(task["memory"], task["reserved"], task["seconds"])
        answer = {"value": function(**task["arguments"])}
    except DataError as problem:
        answer = {"error": str(problem), "settings": problem.settings}
    except MemoryError:
        answer = {"exceeded": "memory"}
    except BaseException as problem:  # of a library in Rust, a panic is no Exception
        answer = {"crash": f"{type(problem).__name__} in {_frames(problem)}"}
    json.dump(answer, output)
    output.flush()
    os._exit(0)  # nothing here needs to be put in order


def _frames(problem: BaseException) -> str:
    frames = traceback.extract_tb(problem.__traceback__)[-_FRAMES:]
    return ", ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)


def _limit(memory: int, reserved: int, seconds: int) -> None:
    """Limit this process, where the system can."""
    try:
        import resource
    except ImportError:  # not POSIX: the clock alone limits it
        return
    os.nice(_NICENESS)
    for kind, most in (
        (resource.RLIMIT_AS, memory + reserved),
        (resource.RLIMIT_DATA, memory),  # what can be written to
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (most if hard < 0 else min(most, hard), hard))


if __name__ == "__main__":
    _main()
