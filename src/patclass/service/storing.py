"""Work with the store beside the event loop. Knows no tables and no routes."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

from fastapi import Request

from patclass.errors import StoreError
from patclass.service.context import note
from patclass.service.problems import Problem

Given = ParamSpec("Given")
Found = TypeVar("Found")

# That a request waits for the store, which itself gives up sooner unless its server hangs.
SECONDS = 20.0

# No more connections than that are opened for requests.
_THREADS = 8


def store_threads() -> ThreadPoolExecutor:
    """Threads of the store's own, so that a store that hangs holds up nothing else."""
    return ThreadPoolExecutor(_THREADS, "store")


async def in_store(
    request: Request, work: Callable[Given, Found], *given: Given.args, **named: Given.kwargs
) -> Found:
    """Do something with the store beside the event loop.

    :raises Problem: if the store cannot be used.
    """
    threads: Executor = request.app.state.store_threads
    call = partial(copy_context().run, work, *given, **named)
    try:
        work_done = asyncio.get_running_loop().run_in_executor(threads, call)
        return await asyncio.wait_for(work_done, SECONDS)
    except TimeoutError as problem:
        note(request.scope, reason=f"the store has not answered for {SECONDS:g} seconds")
        raise Problem(503, "not_kept", "the store does not answer now; try again") from problem
    except StoreError as problem:
        note(request.scope, reason=str(problem))
        message = "the store cannot be used now; see the log"
        raise Problem(503, "not_kept", message) from problem
