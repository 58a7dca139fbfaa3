"""Workers as processes of one machine."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from patclass.scale.job import Part, PartResult
from patclass.scale.worker import Worker, WorkerError, WorkerSetup, begin

# After so many deaths of workers in a row, with no part done between them, it is no accident.
_MOST_DEATHS = 3

# The worker of this process.
_worker: Callable[[Part], PartResult]


def run_here(setup: WorkerSetup, parts: Sequence[Part], workers: int) -> Iterator[PartResult]:
    """What became of each part, as it is done; a worker that dies is replaced.

    :raises WorkerError: if the only worker cannot begin, or workers die again and again.
    """
    if min(workers, len(parts)) == 1:  # no process of its own, then
        worker = Worker(setup)
        yield from map(worker.run, parts)
        return
    missing, deaths = {part.number: part for part in parts}, 0
    while missing:
        with ProcessPoolExecutor(
            min(workers, len(missing)),
            multiprocessing.get_context("spawn"),
            _begin,
            (setup,),
        ) as pool:
            futures = [pool.submit(_run, part) for part in missing.values()]
            try:
                for future in as_completed(futures):
                    result = future.result()
                    deaths = 0
                    del missing[result.number]
                    yield result
            except BrokenProcessPool as problem:
                deaths += 1
                if deaths == _MOST_DEATHS:
                    raise WorkerError(
                        f"workers die again and again, with {len(missing):,} parts left; they may "
                        "need more memory than there is. Try fewer workers.",
                        setting="workers",
                    ) from problem
            except BaseException:  # nobody wants the rest
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _begin(setup: WorkerSetup) -> None:
    """Make the worker of this process, which ends with the one that started it."""
    global _worker
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = begin(setup)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _run(part: Part) -> PartResult:
    return _worker(part)
