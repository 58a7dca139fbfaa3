"""Workers as actors of Ray Data, on one machine or many.

What goes through Ray are parts and what became of them; rows are read and written by the workers.
"""

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from patclass.core.errors import ConfigError
from patclass.scale.job import Part, PartResult
from patclass.scale.worker import WorkerError, WorkerSetup, begin

# How long a cluster may take to accept a connection.
_ANSWER_SECONDS = 5.0


class _Actor:
    """A worker, whose parts and results travel as JSON."""

    def __init__(self, setup: WorkerSetup) -> None:
        self._run = begin(setup)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        result = self._run(Part.model_validate_json(row["part"]))
        return {"result": result.model_dump_json()}


def connect(address: str | None, cores: int) -> int:
    """Connect to a cluster, or start Ray on this machine; return the cluster's cores.

    :param address: of the cluster; None for that of ``RAY_ADDRESS``, else this machine.
    :param cores: how many Ray may use if it is started here.
    :raises ConfigError: if Ray is not installed, or the cluster does not answer.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing phones home
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # on standard error; files have all
    try:
        import ray
    except ImportError as problem:
        raise ConfigError(
            "engine ray: Ray is not installed; install patclass[ray], or leave engine out to use "
            "the processes of this machine.",
            setting="engine",
        ) from problem
    address = address or os.environ.get("RAY_ADDRESS")
    try:
        _check_answers(address)
        if not ray.is_initialized():
            ray.init(
                address=address or "local",
                num_cpus=None if address else cores,
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except (OSError, RuntimeError, ValueError) as problem:
        reason = str(problem).splitlines()[0].rstrip(".")
        raise ConfigError(
            f"address {address}: no Ray cluster answers ({reason}). Start one, or "
            "leave address out to use this machine.",
            setting="address",
        ) from problem
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return int(resources.get("CPU", 1))


def _check_answers(address: str | None) -> None:
    """See that something listens there, of which Ray itself would only be sure after minutes.

    :raises OSError: if nothing does.
    """
    host, colon, port = (address or "").removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), _ANSWER_SECONDS).close()


def run_on_ray(setup: WorkerSetup, parts: Sequence[Part], workers: int) -> Iterator[PartResult]:
    """What became of each part, as it is done; lost workers and machines are replaced.

    :param workers: how many at most; fewer while the cluster has no room for them.
    :raises WorkerError: if Ray gives up.
    """
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    gpus = 1 if setup.device == "cuda" else 0
    tasks = ray.data.from_items(
        [{"part": part.model_dump_json()} for part in parts], override_num_blocks=len(parts)
    ).map(
        _Actor,  # type: ignore[arg-type]
        fn_constructor_args=(setup,),
        compute=ray.data.ActorPoolStrategy(
            size=min(workers, len(parts)), max_tasks_in_flight_per_actor=1
        ),
        num_cpus=1,
        num_gpus=gpus,
    )
    try:
        for row in tasks.iter_rows():
            yield PartResult.model_validate_json(row["result"])
    except (ray.exceptions.RayError, RuntimeError) as problem:
        reason = str(problem).strip().splitlines()[-1]
        raise WorkerError(f"Ray gave up: {reason}") from problem
