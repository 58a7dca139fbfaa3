"""``patclass models``, ``retrain``, ``loop`` and ``monitor``: versions, retraining, drift."""

import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import click

from patclass.cli.options import (
    EXIT_REFUSED,
    bundle_argument,
    data_option,
    open_bundle,
    print_error,
    registry_option,
    store_option,
)
from patclass.cli.store import Age
from patclass.cli.train import EXIT_INTERRUPTED
from patclass.core.settings import FEEDBACK_WEIGHT, LEAST_FEEDBACK, WINDOW


@click.group()
def models() -> None:
    """Manage the versions of a model in a registry folder; one version, the champion, answers.

    \b
        patclass models promote final_model      # the first champion
        patclass serve --model models            # serves the champion, and reloads a new one
        patclass retrain                         # a candidate, trained with the feedback
        patclass models promote 0002             # if it passes the gate
        patclass models rollback
    """


@models.command("list")
@registry_option
@store_option
def list_models(registry: Path, store: Path | None) -> int:
    """List all versions with their state, parent and accuracy."""
    from patclass.bundle.registry import Registry
    from patclass.learning.promotion import read_versions
    from patclass.store.database import locate_store
    from patclass.store.history import ModelStore

    champion = Registry(registry).champion()
    rows = {row.version: row for row in ModelStore(locate_store(store)).all()}
    click.echo(f"{'folder':8}{'version':14}{'state':11}{'made':12}{'parent':14}accuracy")
    for folder, bundle in read_versions(Registry(registry)).items():
        if bundle is None:
            click.echo(f"{folder.name:8}damaged; see 'patclass verify {folder}'")
            continue
        row = rows.get(bundle.fingerprint)
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
    """Show VERSION (a folder's name, or the first digits of a version): lineage, gate, shadow."""
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
        lineage = bundle.lineage
        click.echo(
            f"retrained from {lineage.parent} with feedback {lineage.feedback_from} to "
            f"{lineage.feedback_until}: {lineage.rows['train']:,} texts trained on, each with "
            f"weight {lineage.weight:g}"
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
@click.option(
    "--force", metavar="REASON", help="Promote without the gate; the reason is stored as an event."
)
def promote(
    version: str, registry: Path, store: Path | None, data: str | None, force: str | None
) -> int:
    """Make VERSION the champion, if it passes the gate.

    VERSION is a folder's name in the registry (0002), the first digits of a version, or a bundle
    outside of the registry, which is copied into it. The first champion is promoted without a
    comparison. Exit code 1 if the candidate fails the gate; the page that is written says why.
    """
    from patclass.bundle.description import LAYOUT
    from patclass.bundle.registry import Registry
    from patclass.learning.loop import evaluate_and_record
    from patclass.learning.promotion import (
        ModelPair,
        find_version,
        promote,
        register,
        sync_champion,
    )
    from patclass.learning.retrain import RetrainOptions, recover_candidate
    from patclass.store.database import locate_store

    models, database = Registry(registry), locate_store(store)
    if models.exists:
        recover_candidate(models, database)
    outside = Path(version)
    if (outside / LAYOUT.manifest).is_file():
        bundle = register(models, database, outside)
    else:
        bundle = find_version(models, version)
    champion = sync_champion(models, database) if models.exists else None
    if champion is not None and champion.folder == bundle.folder:
        click.echo(f"{bundle.folder} is the champion already")
        return 0
    if champion is None or force:
        promote(models, database, bundle, force or "the first champion")
    else:
        pair = ModelPair(champion, bundle)
        decision, page = evaluate_and_record(models, database, pair, RetrainOptions(data=data))
        click.echo(decision.text())
        click.echo(f"decision: {page}")
        if not decision.passed:
            return EXIT_REFUSED
        promote(models, database, bundle, f"gate, {page.name}", champion)
    click.echo(f"champion: {bundle.folder} (version {bundle.fingerprint})")
    return 0


@models.command()
@registry_option
@store_option
def rollback(registry: Path, store: Path | None) -> int:
    """Make the previous champion the champion again."""
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
    help="Weight of a text with feedback in training; that of a row of the data is 1.",
)

_window_option = click.option(
    "--window",
    type=click.IntRange(50),
    default=WINDOW,
    show_default=True,
    help="Number of predictions in a window, as set for the service.",
)


@click.command()
@registry_option
@store_option
@data_option
@_weight_option
@click.option("--restart", is_flag=True, help="Discard an unfinished candidate.")
def retrain(
    registry: Path, store: Path | None, data: str | None, feedback_weight: float, restart: bool
) -> int:
    """Train a candidate with the champion's settings and data, and the feedback since then.

    Of the texts with feedback, 60 % are trained on, 10 % validated on, and 30 % held out for the
    gate. Feedback on texts that are in the test or validation split, or nearly equal to one, is
    left out. An interrupted run is resumed. Nothing is promoted: see 'patclass models promote'.

    \b
        patclass retrain
        patclass retrain --feedback-weight 3 --restart
    """
    from patclass.bundle.registry import Registry
    from patclass.learning.retrain import RetrainOptions, registry_lock
    from patclass.learning.retrain import retrain as run
    from patclass.store.database import locate_store

    options, models = RetrainOptions(feedback_weight, data), Registry(registry)
    with registry_lock(models):
        bundle = run(models, locate_store(store), options, restart, click.echo)
    if bundle is None:
        click.echo("interrupted; run it again to resume", err=True)
        return EXIT_INTERRUPTED
    click.echo(f"candidate: {bundle.folder} (version {bundle.fingerprint})")
    click.echo(f"next: patclass models promote {bundle.folder.name}")
    return 0


@click.command()
@registry_option
@store_option
@data_option
@_weight_option
@click.option("--once", is_flag=True, help="One pass, for cron. Exit code 1 if the gate fails.")
@click.option("--every", type=Age(), help="A pass at this interval (12h, 1d, 1w), until Ctrl-C.")
@click.option(
    "--min-feedback",
    type=click.IntRange(1),
    default=LEAST_FEEDBACK,
    show_default=True,
    help="Least new feedback for which a candidate is trained.",
)
@_window_option
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
    """Run the learning loop: check drift, retrain if there is enough feedback, gate, promote.

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
        raise click.UsageError("expected one of --once and --every.")
    if every is not None and not every:
        raise click.UsageError("--every 0 leaves no time between passes; expected 1h or longer.")
    models, database = Registry(registry), locate_store(store)
    options = RetrainOptions(feedback_weight, data)
    while True:
        try:
            done = run_pass(models, database, options, min_feedback, window, click.echo)
        except PatclassError as problem:
            if every is None:
                raise
            print_error(problem)  # the next pass may succeed
        else:
            if every is None:
                refused = done.decision is not None and not done.decision.passed
                return EXIT_REFUSED if refused else 0
        time.sleep(every.total_seconds())


@click.group()
def monitor() -> None:
    """Compare live patents with those that a model was evaluated on.

    \b
        patclass monitor report final_model
    """


@monitor.command()
@bundle_argument
@store_option
@_window_option
def report(bundle: str | None, store: Path | None, window: int) -> int:
    """Print input drift and accuracy of the last window of BUNDLE (a folder, or 'shipped').

    Confidence, labels, length, out-of-vocabulary rate and novelty, compared with the reference in
    the bundle; accuracy, as estimated and as measured by feedback. Exit code 1 if the window
    raises an alert.

    \b
        patclass monitor report final_model --window 500
    """
    from patclass.core.errors import BundleError, StoreError
    from patclass.monitoring.drift import assessment_text
    from patclass.monitoring.monitor import Monitor, MonitoredModel
    from patclass.store.database import locate_store

    opened = open_bundle(bundle)
    if opened.reference is None:
        raise BundleError(f"{opened.folder} has no reference to compare with; train it again.")
    database = locate_store(store)
    model = MonitoredModel(opened.folder.name, opened.fingerprint, opened.reference)
    last = Monitor(database, window).last(model)
    if last is None:
        raise StoreError(
            f"window {window:,}: the store in {database.location} has fewer predictions of "
            f"{opened.folder} (version {model.version}); choose a smaller one, or wait.",
            setting="window",
        )
    click.echo(assessment_text(last))
    return 1 if last.alerts else 0
