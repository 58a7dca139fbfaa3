"""Simulate a job of 150 million documents on 50 machines that fail, from measured rates.

    python scripts/bench_scale/simulate.py [--rates FILE] [--documents 150e6] [--nodes 50]

Rates are those of 'patclass bench'. Each worker takes the next part when it is done with one; a
machine fails at random, comes back later, and the parts that its workers had are done again by
whoever is free. With --measured FILE (a job that was run, by 'make bench-scale'), its time and the
simulation's are compared as well.
"""

import argparse
import heapq
import json
import random
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from patclass.bundle import read_bundle
from patclass.bundle.registry import locate
from patclass.scale.capacity import Price, plan_capacity
from patclass.scale.job import part_size
from patclass.scale.rates import Rates, read_rates

HOUR = 3600.0


@dataclass(frozen=True)
class Cluster:
    """Machines and how they fail.

    :param failure_hours: mean time between two failures of one machine.
    :param repair: seconds until a machine that failed is back.
    :param spread: of the time of a part, as a share of it (uniform).
    """

    nodes: int
    cores: int
    start: float
    failure_hours: float
    repair: float
    spread: float


@dataclass
class Outcome:
    """What a simulated job took."""

    hours: float
    failures: int
    repeated: float


def main() -> None:
    """Print the plan and what the simulation makes of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", type=Path)
    parser.add_argument("--documents", type=float, default=150e6)
    parser.add_argument("--tokens", type=float, default=900)
    parser.add_argument("--deadline-hours", type=float, default=24)
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--failure-hours", type=float, default=24)
    parser.add_argument("--repair-minutes", type=float, default=10)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--measured", type=Path)
    args = parser.parse_args()
    rates = read_rates(None if args.rates else read_bundle(locate(None)), args.rates)
    if args.measured:
        compare(rates, json.loads(args.measured.read_text()))
    cores = cores_for(rates, args)
    print(f"{args.nodes} machines of {cores} cores, as 'patclass plan' has it")
    seconds = rates.seconds(args.tokens)
    widest = max(rate.high / rate.low - 1 for rate in rates.documents)
    print("\n| mean hours between failures | hours | failures | done again | deadline held |")
    print("|---|---|---|---|---|")
    for hours in (1e9, args.failure_hours, args.failure_hours / 6):
        cluster = Cluster(
            args.nodes, cores, rates.start_seconds, hours, args.repair_minutes * 60, widest
        )
        found = [simulate(cluster, args.documents, seconds, seed) for seed in range(args.runs)]
        slowest = max(found, key=lambda outcome: outcome.hours)
        held = "yes" if slowest.hours <= args.deadline_hours else "**no**"
        shown = "never" if hours > 1e6 else f"{hours:g}"
        print(
            f"| {shown} | {slowest.hours:.2f} | {slowest.failures} | {slowest.repeated:.2%} | "
            f"{held} |"
        )


def cores_for(rates: Rates, args: argparse.Namespace) -> int:
    """The fewest cores a machine with which so many machines hold the deadline."""
    cores = 1
    while True:
        (need,) = plan_capacity(
            rates, args.documents, args.tokens, args.deadline_hours * HOUR, [Price("x", cores)]
        )
        if need.machines <= args.nodes:
            return cores
        cores += 1


def simulate(cluster: Cluster, documents: float, seconds: float, seed: int) -> Outcome:
    """One run: a heap of events, the time and number of a worker's part."""
    chance = random.Random(seed)
    workers = cluster.nodes * cluster.cores
    size = part_size(documents, workers)
    waiting = deque([size] * int(documents // size) + [int(documents % size)])
    events: list[tuple[float, int, int]] = []  # time, node or -1 - node, life of the node
    lives = [0] * cluster.nodes
    busy: list[dict[int, tuple[float, int]]] = [{} for _ in range(cluster.nodes)]
    now, open_parts, failures, repeated = 0.0, len(waiting), 0, 0.0

    def take(node: int, slot: int) -> None:
        if waiting:
            part = waiting.popleft()
            # Spread by documents averages out; what remains is the machine's.
            length = part * seconds * (1 + chance.uniform(-0.5, 0.5) * cluster.spread)
            busy[node][slot] = (now, part)
            heapq.heappush(events, (now + length, node * cluster.cores + slot, lives[node]))

    def begin(node: int) -> None:
        after = chance.expovariate(1 / (cluster.failure_hours * HOUR))
        heapq.heappush(events, (now + after, -1 - node, lives[node]))
        for slot in range(cluster.cores):
            take(node, slot)

    now = cluster.start
    for node in range(cluster.nodes):
        begin(node)
    while open_parts:
        now, which, life = heapq.heappop(events)
        if which >= workers:  # a machine is back
            begin(which - workers)
            continue
        node = -1 - which if which < 0 else which // cluster.cores
        if life != lives[node]:
            continue
        if which < 0:
            failures += 1
            lives[node] += 1
            for since, part in busy[node].values():
                waiting.appendleft(part)
                repeated += (now - since) / seconds
            busy[node].clear()
            back = now + cluster.repair + cluster.start
            heapq.heappush(events, (back, workers + node, lives[node]))
            continue
        del busy[node][which % cluster.cores]
        open_parts -= 1
        take(node, which % cluster.cores)
    return Outcome(now / HOUR, failures, repeated / documents)


def compare(rates: Rates, measured: dict[str, float]) -> None:
    """A job that was run on one machine beside its simulation."""
    cluster = Cluster(1, int(measured["workers"]), rates.start_seconds, 1e9, 0, 0)
    seconds = rates.seconds(measured["tokens"])
    found = simulate(cluster, measured["documents"], seconds, 0).hours * HOUR
    print(
        f"measured: {measured['documents']:,.0f} documents in {measured['seconds']:,.0f} s; "
        f"simulated: {found:,.0f} s ({found / measured['seconds'] - 1:+.1%})\n"
    )


if __name__ == "__main__":
    main()
