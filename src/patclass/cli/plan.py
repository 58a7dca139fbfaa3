"""``patclass bench`` and ``plan``: how fast a bundle answers here, and what a job would take."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from patclass.cli.options import format_option, model_option, open_bundle
from patclass.core.errors import ConfigError

if TYPE_CHECKING:
    from patclass.scale.capacity import Need
    from patclass.scale.rates import Rates

_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


@click.command()
@model_option
@click.option(
    "--workers",
    type=click.IntRange(1, 10_000),
    metavar="NUMBER",
    help="Workers that are timed at once.  [default: one for each core]",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="File to write the rates to as well, for other machines.",
)
def bench(model: str | None, workers: int | None, output: Path | None) -> int:
    """Measure how fast a bundle answers on this machine, for 'patclass plan'.

    Documents of several lengths are timed by one worker for each core, all at once. It takes about
    a minute; nothing else should run. The rates are kept in the user's folder of caches.

    \b
        patclass bench
        patclass bench --model shipped-int8 -o rates.json
    """
    from patclass.engines.base import cores
    from patclass.scale.rates import keep_rates, measure_rates

    bundle = open_bundle(model)
    rates = measure_rates(bundle, workers or cores())
    keep_rates(rates)
    if output is not None:
        keep_rates(rates, output)
    _print_rates(rates)
    return 0


def _print_rates(rates: "Rates") -> None:
    from patclass.model.machine import gibibytes

    click.echo(f"{rates.cores} workers at once, {', '.join(rates.processor[1:]) or 'processor'}")
    memory = gibibytes(rates.memory)
    click.echo(f"a worker starts in {rates.start_seconds:.1f} s and holds {memory} at most")
    click.echo("\ntokens  documents/s of a core  slowest  fastest")
    for rate in rates.documents:
        click.echo(
            f"{rate.tokens:6,}  {1 / rate.seconds:21,.1f}  {1 / rate.high:7,.1f}  "
            f"{1 / rate.low:7,.1f}"
        )


@click.command()
@click.option(
    "--documents",
    type=click.FloatRange(min=1),
    required=True,
    metavar="NUMBER",
    help="How many, such as 150e6.",
)
@click.option(
    "--tokens",
    type=click.FloatRange(min=1),
    required=True,
    metavar="NUMBER",
    help="Their mean length in tokens; an abstract has 120, a full text some thousands.",
)
@click.option(
    "--deadline",
    default="24h",
    show_default=True,
    metavar="TIME",
    help="When all should be done, such as 90m, 24h or 7d.",
)
@click.option(
    "--machine",
    "machines",
    multiple=True,
    metavar="NAME=CORES[:PRICE]",
    help="A kind of machine, with its cores and the price of an hour, such as "
    "c3-standard-8=8:0.42; may be repeated.  [default: this one]",
)
@click.option(
    "--rates",
    "path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Rates that 'patclass bench' wrote.  [default: those measured here of the model]",
)
@model_option
@format_option
def plan(
    documents: float,
    tokens: float,
    deadline: str,
    machines: tuple[str, ...],
    path: Path | None,
    model: str | None,
    form: str,
) -> int:
    """Work out machines, hours, memory and money to classify so many documents.

    Rates are those of 'patclass bench'. Hours are given with the range that the rates had when they
    were measured; another kind of processor is not in it: measure on one.

    \b
        patclass plan --documents 150e6 --tokens 900 --machine small=8:0.42 --machine large=64:3.2
    """
    from patclass.engines.base import cores
    from patclass.scale.capacity import RESERVE, Price, plan_capacity
    from patclass.scale.rates import read_rates

    rates = read_rates(None if path is not None else open_bundle(model), path)
    kinds = [Price.parse(text) for text in machines] or [Price("this machine", cores())]
    needs = plan_capacity(rates, documents, tokens, _seconds(deadline), kinds)
    if form == "json":
        click.echo(json.dumps([asdict(need) for need in needs]))
        return 0
    core = 1 / rates.seconds(tokens)
    click.echo(
        f"{documents:,.0f} documents of {tokens:,.0f} tokens, {core:,.1f} a second of a core; "
        f"{RESERVE:.0%} of the time left free"
    )
    for line in _table(needs):
        click.echo(line)
    return 0


def _table(needs: "list[Need]") -> list[str]:
    from patclass.model.machine import gibibytes

    names = max(12, *(len(need.machine.name) for need in needs))
    lines = [f"\n{'machine':{names}}  cores  machines   hours  range            memory       cost"]
    for need in needs:
        span = f"{need.low:,.1f} to {need.high:,.1f}"
        cost = "" if need.cost is None else f"{need.cost:,.2f}"
        lines.append(
            f"{need.machine.name:{names}}  {need.machine.cores:5}  {need.machines:8,}  "
            f"{need.hours:6,.1f}  {span:15}  {gibibytes(need.memory):9}  {cost:>9}".rstrip()
        )
    return lines


def _seconds(text: str) -> float:
    """:raises ConfigError: if it is no time."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.strip().lower())
    if match is None or match[2] not in _UNITS or not float(match[1]):
        raise ConfigError(
            f"deadline {text!r}: expected a time such as 90m, 24h or 7d.", setting="deadline"
        )
    return float(match[1]) * _UNITS[match[2]]
