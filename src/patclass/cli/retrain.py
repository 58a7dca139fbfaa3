"""``patclass retrain`` and ``patclass loop``: models that learn from what people say."""

import time
from datetime import timedelta
from pathlib import Path

import click

from patclass.cli.options import EXIT_REFUSED, data_option, registry_option, store_option
from patclass.cli.store import Age
from patclass.cli.train import EXIT_INTERRUPTED
from patclass.learning.defaults import FEEDBACK_WEIGHT, LEAST_FEEDBACK
from patclass.monitoring.defaults import WINDOW

_weight_option = click.option(
    "--feedback-weight",
    type=click.FloatRange(0, 100, min_open=True),
    default=FEEDBACK_WEIGHT,
    show_default=True,
    help="What a verdict counts in training beside a row of the data.",
)


@click.command()
@registry_option
@store_option
@data_option
@_weight_option
@click.option("--restart", is_flag=True, help="Throw an unfinished candidate away.")
def retrain(
    registry: Path, store: Path | None, data: str | None, feedback_weight: float, restart: bool
) -> int:
    """Make a candidate: the champion's settings and data, and what people have said since.

    Six of ten judged texts are learnt from, one is validated on, and three are kept back to judge
    by. Verdicts on texts that stand in the test or validation rows, or nearly so, are left out.
    A run that was stopped goes on. Nothing is promoted: see 'patclass models promote'.
    """
    from patclass.bundle.registry import Registry
    from patclass.learning.retrain import Asked, alone
    from patclass.learning.retrain import retrain as run
    from patclass.store.database import locate_store

    asked, versions = Asked(feedback_weight, data), Registry(registry)
    with alone(versions):
        bundle = run(versions, locate_store(store), asked, restart, click.echo)
    if bundle is None:
        click.echo("interrupted; run it again to go on", err=True)
        return EXIT_INTERRUPTED
    click.echo(f"candidate: {bundle.folder} (version {bundle.fingerprint})")
    click.echo(f"next: patclass models promote {bundle.folder.name}")
    return 0


@click.command()
@registry_option
@store_option
@data_option
@_weight_option
@click.option("--once", is_flag=True, help="One pass, for cron. Exit code 1 if the gate refuses.")
@click.option("--every", type=Age(), help="A pass every 12h, 1d or 1w, until Ctrl-C.")
@click.option(
    "--min-feedback",
    type=click.IntRange(1),
    default=LEAST_FEEDBACK,
    show_default=True,
    help="New verdicts that make a new candidate worth its while.",
)
@click.option(
    "--window",
    type=click.IntRange(50),
    default=WINDOW,
    show_default=True,
    help="Answers in a window, as of the service.",
)
def loop(
    registry: Path,
    store: Path | None,
    data: str | None,
    feedback_weight: float,
    once: bool,
    every: timedelta | None,
    min_feedback: int,
    window: int,
) -> int:
    """Learn by itself: look for drift, retrain if there is enough feedback, judge, promote.

    \b
        patclass loop --once
        patclass loop --every 1d
    """
    from patclass.bundle.registry import Registry
    from patclass.errors import PatclassError
    from patclass.learning.loop import run_pass
    from patclass.learning.retrain import Asked
    from patclass.store.database import locate_store

    if once == (every is not None):
        raise click.UsageError("give one of --once and --every.")
    if every is not None and not every:
        raise click.UsageError("--every 0 leaves no time between passes; expected 1h or longer.")
    versions, database = Registry(registry), locate_store(store)
    asked = Asked(feedback_weight, data)
    while True:
        try:
            done = run_pass(versions, database, asked, min_feedback, window, click.echo)
        except PatclassError as problem:
            if every is None:
                raise
            click.echo(f"error: {problem}", err=True)  # the next pass may find it mended
        else:
            if every is None:
                refused = done.decision is not None and not done.decision.passed
                return EXIT_REFUSED if refused else 0
        time.sleep(every.total_seconds())
