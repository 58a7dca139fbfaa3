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
    device_option,
    open_bundle,
    output_option,
    print_error,
    registry_option,
    settings_options,
    store_option,
)
from patclass.cli.store import Age
from patclass.cli.train import EXIT_INTERRUPTED
from patclass.core.defaults import FEEDBACK_WEIGHT, LEAST_FEEDBACK, WINDOW
from patclass.core.settings import TrainSettings


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
    from patclass.learning.promotion import versions
    from patclass.store.database import locate_store
    from patclass.store.history import ModelStore

    champion = Registry(registry).champion()
    rows = {row.version: row for row in ModelStore(locate_store(store)).all()}
    click.echo(f"{'folder':8}{'version':14}{'state':11}{'made':12}{'parent':14}accuracy")
    for folder, bundle in versions(Registry(registry)).items():
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
    from patclass.learning.loop import try_candidate
    from patclass.learning.promotion import acknowledge_champion, find_version, promote, take_in
    from patclass.learning.retrain import RetrainOptions, finish_planned
    from patclass.learning.trial import ModelPair
    from patclass.store.database import locate_store

    models, database = Registry(registry), locate_store(store)
    if models.exists:
        finish_planned(models, database)
    outside = Path(version)
    if (outside / LAYOUT.manifest).is_file():
        bundle = take_in(models, database, outside)
    else:
        bundle = find_version(models, version)
    champion = acknowledge_champion(models, database) if models.exists else None
    if champion is not None and champion.folder == bundle.folder:
        click.echo(f"{bundle.folder} is the champion already")
        return 0
    if champion is None or force:
        promote(models, database, bundle, force or "the first champion")
    else:
        pair = ModelPair(champion, bundle)
        decision, page = try_candidate(models, database, pair, RetrainOptions(data=data))
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
@click.option(
    "--window",
    type=click.IntRange(50),
    default=WINDOW,
    show_default=True,
    help="Predictions in a window, as for the service.",
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
        patclass monitor report final_model -o monitor.html
        patclass monitor reference old_model --data patents/
    """


@monitor.command()
@bundle_argument
@store_option
@output_option("The page to write.", default=Path("monitor.html"))
@click.option(
    "--window",
    type=click.IntRange(50),
    default=WINDOW,
    show_default=True,
    help="Predictions in a window.",
)
@click.option(
    "--windows",
    type=click.IntRange(1, 1000),
    default=60,
    show_default=True,
    help="Number of windows; each begins a quarter of a window after the previous one.",
)
def report(bundle: str | None, store: Path | None, output: Path, window: int, windows: int) -> int:
    """Write a page about the live predictions of BUNDLE (a folder, or 'shipped').

    Confidence, labels, length, out-of-vocabulary rate and novelty, compared with the reference in
    the bundle; accuracy, as estimated and as measured by feedback. Exit code 1 if the last window
    raises an alert.

    \b
        patclass monitor report final_model -o monitor.html --window 500
    """
    from patclass.core.errors import BundleError, StoreError
    from patclass.core.files import atomic_write
    from patclass.monitoring.html import html_monitor
    from patclass.monitoring.monitor import Monitor, MonitoredModel
    from patclass.store.database import locate_store

    opened = open_bundle(bundle)
    if opened.reference is None:
        raise BundleError(
            f"{opened.folder} has no reference to compare with; add one with 'patclass monitor "
            "reference'."
        )
    database = locate_store(store)
    model = MonitoredModel(opened.folder.name, opened.fingerprint, opened.reference)
    series = Monitor(database, window).series(model, windows)
    if not series:
        raise StoreError(
            f"window {window:,}: the store in {database.place} has fewer predictions of "
            f"{opened.folder} (version {model.version}); choose a smaller one, or wait.",
            setting="window",
        )
    with atomic_write(output) as partial:
        partial.write_text(html_monitor(model, series), encoding="utf-8")
    alerts = ", ".join(series[-1].alerts)
    click.echo(f"{output}: {f'alerts: {alerts}' if alerts else 'no alert'}")
    return 1 if alerts else 0


@monitor.command()
@bundle_argument
@settings_options(TrainSettings, "data", "labels", "code_column")
@device_option
def reference(bundle: str | None, device: str, **flags: str | None) -> int:
    """Add a reference to BUNDLE, an older one without, to compare live predictions with.

    It is computed from the validation split of --data, by default of its training data.
    """
    from patclass.bundle.referenced import write_referenced
    from patclass.core.settings import data_like
    from patclass.data.corpus import load_corpus
    from patclass.predictor.pipeline import with_bar
    from patclass.predictor.reference import collect_reference, vocabulary_of

    opened = open_bundle(bundle)
    corpus = load_corpus(data_like(opened.description.data_settings(), flags), opened.tree)
    rows = corpus["validation"]
    pipeline = opened.load_pipeline(device)
    answers = with_bar(pipeline, [row.text for row in rows], "scoring validation")
    seen = vocabulary_of(pipeline.tokenizer.encode([row.text for row in corpus["train"]]))
    made = collect_reference(
        opened.tree, rows, answers.encodings, answers.embeddings, answers.leaves, seen
    )
    write_referenced(opened.folder, made)
    click.echo(f"{opened.folder}: reference of {len(rows):,} validation rows")
    return 0
