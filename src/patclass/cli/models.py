"""``patclass models``, ``retrain``, ``loop`` and ``monitor``: versions, learning, drift."""

import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import click

from patclass.cli.options import (
    EXIT_REFUSED,
    bundle_argument,
    data_option,
    registry_option,
    store_option,
)
from patclass.cli.store import Age
from patclass.cli.train import EXIT_INTERRUPTED
from patclass.core.defaults import FEEDBACK_WEIGHT, LEAST_FEEDBACK, WINDOW


@click.group()
def models() -> None:
    """Keep the versions of a model in a folder; one of them, the champion, answers.

    \b
        patclass models promote final_model      # the first champion
        patclass serve --model models            # follows the champion by itself
        patclass retrain                         # a candidate, from what people have said
        patclass models promote 0002             # if it is not worse anywhere
        patclass models rollback
    """


@models.command("list")
@registry_option
@store_option
def list_models(registry: Path, store: Path | None) -> int:
    """List all versions, what became of them, and what they were made from."""
    from patclass.bundle.registry import Registry
    from patclass.learning.promotion import read_versions
    from patclass.store.database import locate_store
    from patclass.store.history import ModelStore

    versions = Registry(registry)
    champion = versions.champion()
    known = {row.version: row for row in ModelStore(locate_store(store)).all()}
    click.echo(f"{'folder':8}{'version':14}{'state':11}{'made':12}{'parent':14}accuracy")
    for folder, bundle in read_versions(versions).items():
        if bundle is None:
            click.echo(f"{folder.name:8}damaged; 'patclass verify {folder}' says why")
            continue
        row = known.get(bundle.fingerprint)
        state = "champion" if bundle.folder == champion else "" if row is None else row.state
        parent = "" if bundle.lineage is None else bundle.lineage.parent
        accuracy = "" if bundle.reference is None else _percents(bundle.reference.accuracy)
        click.echo(
            f"{bundle.folder.name:8}{bundle.fingerprint:14}{state:11}"
            f"{bundle.description.created:12}{parent:14}{accuracy}"
        )
    return 0


@models.command()
@click.argument("version")
@registry_option
@store_option
def show(version: str, registry: Path, store: Path | None) -> int:
    """Say all that is known of VERSION: a folder's name, or the first digits of a version."""
    from patclass.bundle.registry import Registry
    from patclass.learning.gate import Decision
    from patclass.learning.promotion import find_version
    from patclass.store.database import locate_store
    from patclass.store.history import ModelStore
    from patclass.store.predictions import disagreement

    bundle = find_version(Registry(registry), version)
    database = locate_store(store)
    row = next((r for r in ModelStore(database).all() if r.version == bundle.fingerprint), None)
    click.echo(f"{bundle.folder}  version {bundle.fingerprint}  {row.state if row else 'unknown'}")
    if bundle.lineage is not None:
        told = bundle.lineage
        click.echo(
            f"made from {told.parent} and verdicts {told.feedback_from} to {told.feedback_until}: "
            f"{told.rows['train']:,} texts learnt from, each counting {told.weight:g} times"
        )
    if row is not None and row.decision is not None:
        click.echo(Decision.model_validate(row.decision).text())
    shadow = disagreement(database, bundle.fingerprint)
    if shadow.rows:
        click.echo(shadow.text())
    return 0


@models.command()
@click.argument("version")
@registry_option
@store_option
@data_option
@click.option("--force", metavar="WHY", help="Promote without the gate; WHY is kept on record.")
def promote(
    version: str, registry: Path, store: Path | None, data: str | None, force: str | None
) -> int:
    """Make VERSION the champion, if it passes the gate.

    VERSION is a folder's name in the registry (0002), the first digits of a version, or a bundle
    elsewhere, which is copied in. The first champion has nobody to be compared with. Exit code 1
    if the gate refuses; the page that it writes says why.
    """
    from patclass.bundle.description import LAYOUT
    from patclass.bundle.registry import Registry
    from patclass.learning.candidate_evaluation import ModelPair
    from patclass.learning.loop import evaluate_and_record
    from patclass.learning.promotion import find_version, promote, register, sync_champion
    from patclass.learning.retrain import RetrainOptions, recover_candidate
    from patclass.store.database import locate_store

    versions, database = Registry(registry), locate_store(store)
    if versions.exists:
        recover_candidate(versions, database)
    elsewhere = Path(version)
    if (elsewhere / LAYOUT.manifest).is_file():
        bundle = register(versions, database, elsewhere)
    else:
        bundle = find_version(versions, version)
    champion = sync_champion(versions, database) if versions.exists else None
    if champion is not None and champion.folder == bundle.folder:
        click.echo(f"{bundle.folder} is the champion already")
        return 0
    if champion is None or force:
        promote(versions, database, bundle, force or "the first champion")
    else:
        pair = ModelPair(champion, bundle)
        decision, page = evaluate_and_record(versions, database, pair, RetrainOptions(data=data))
        click.echo(decision.text())
        click.echo(f"decision: {page}")
        if not decision.passed:
            return EXIT_REFUSED
        promote(versions, database, bundle, f"gate, {page.name}", champion)
    click.echo(f"champion: {bundle.folder} (version {bundle.fingerprint})")
    return 0


@models.command()
@registry_option
@store_option
def rollback(registry: Path, store: Path | None) -> int:
    """Make the champion before this one the champion again."""
    from patclass.bundle.registry import Registry
    from patclass.learning.promotion import roll_back
    from patclass.store.database import locate_store

    bundle = roll_back(Registry(registry), locate_store(store))
    click.echo(f"champion: {bundle.folder} (version {bundle.fingerprint})")
    return 0


def _percents(accuracy: Mapping[str, float]) -> str:
    return ", ".join(f"{level} {share:.1%}" for level, share in accuracy.items())


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
    from patclass.learning.retrain import RetrainOptions, registry_lock
    from patclass.learning.retrain import retrain as run
    from patclass.store.database import locate_store

    asked, versions = RetrainOptions(feedback_weight, data), Registry(registry)
    with registry_lock(versions):
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
    from patclass.core.errors import PatclassError
    from patclass.learning.loop import run_pass
    from patclass.learning.retrain import RetrainOptions
    from patclass.store.database import locate_store

    if once == (every is not None):
        raise click.UsageError("give one of --once and --every.")
    if every is not None and not every:
        raise click.UsageError("--every 0 leaves no time between passes; expected 1h or longer.")
    versions, database = Registry(registry), locate_store(store)
    asked = RetrainOptions(feedback_weight, data)
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


@click.group()
def monitor() -> None:
    """Compare the live predictions of a model with its reference.

    \b
        patclass monitor report final_model
    """


@monitor.command()
@bundle_argument
@store_option
@click.option(
    "--window",
    type=click.IntRange(50),
    default=WINDOW,
    show_default=True,
    help="Predictions in it.",
)
def report(bundle: str | None, store: Path | None, window: int) -> int:
    """Print the shifts and the accuracy of the last window of BUNDLE (a folder, or 'shipped').

    Exit code 1 if it raises an alert.
    """
    from patclass.bundle import read_bundle
    from patclass.bundle.registry import locate
    from patclass.core.errors import BundleError, StoreError
    from patclass.monitoring.drift import assessment_text
    from patclass.monitoring.monitor import Monitor, MonitoredModel
    from patclass.store.database import locate_store

    opened = read_bundle(locate(bundle))
    if opened.reference is None:
        raise BundleError(f"{opened.folder} has no reference to compare with; train it again.")
    database = locate_store(store)
    model = MonitoredModel(opened.folder.name, opened.fingerprint, opened.reference)
    last = Monitor(database, window).last(model)
    if last is None:
        raise StoreError(
            f"the store in {database.location} has not yet {window:,} predictions of "
            f"{opened.folder} (version {model.version}); choose a smaller window, or wait."
        )
    click.echo(assessment_text(last))
    return 1 if last.alerts else 0
