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
    device_option,
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
    from patclass.learning.promotion import versions as readable
    from patclass.store.database import locate_store
    from patclass.store.history import ModelStore

    versions = Registry(registry)
    champion = versions.champion()
    known = {row.version: row for row in ModelStore(locate_store(store)).all()}
    click.echo(f"{'folder':8}{'version':14}{'state':11}{'made':12}{'parent':14}accuracy")
    for folder, bundle in readable(versions).items():
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
    from patclass.learning.loop import try_candidate
    from patclass.learning.promotion import acknowledge_champion, find_version, promote, take_in
    from patclass.learning.retrain import RetrainOptions, finish_planned
    from patclass.learning.trial import ModelPair
    from patclass.store.database import locate_store

    versions, database = Registry(registry), locate_store(store)
    if versions.exists:
        finish_planned(versions, database)
    elsewhere = Path(version)
    if (elsewhere / LAYOUT.manifest).is_file():
        bundle = take_in(versions, database, elsewhere)
    else:
        bundle = find_version(versions, version)
    champion = acknowledge_champion(versions, database) if versions.exists else None
    if champion is not None and champion.folder == bundle.folder:
        click.echo(f"{bundle.folder} is the champion already")
        return 0
    if champion is None or force:
        promote(versions, database, bundle, force or "the first champion")
    else:
        pair = ModelPair(champion, bundle)
        decision, page = try_candidate(versions, database, pair, RetrainOptions(data=data))
        click.echo(decision.text())
        click.echo(f"the decision: {page}")
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
    """See whether live patents are still like those that a model was measured on.

    \b
        patclass monitor report final_model -o monitor.html
        patclass monitor reference old_model --data patents/
    """


@monitor.command()
@bundle_argument
@store_option
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    default=Path("monitor.html"),
    show_default=True,
    help="The page to write.",
)
@click.option(
    "--window", type=click.IntRange(50), default=WINDOW, show_default=True, help="Answers in one."
)
@click.option(
    "--windows",
    type=click.IntRange(1, 1000),
    default=60,
    show_default=True,
    help="How many windows back; each begins a quarter of a window after the one before.",
)
def report(bundle: str | None, store: Path | None, output: Path, window: int, windows: int) -> int:
    """Write a page about BUNDLE's live answers (a folder, or 'shipped').

    Confidences, labels, lengths, unseen tokens and distances beside the reference in the bundle;
    accuracy, estimated and as people measured it. Exit code 1 if the last window rings.
    """
    from patclass.bundle import read_bundle
    from patclass.bundle.registry import locate
    from patclass.core.errors import BundleError, StoreError
    from patclass.core.files import atomic_write
    from patclass.monitoring.html import html_monitor
    from patclass.monitoring.monitor import Monitor, MonitoredModel
    from patclass.store.database import locate_store

    opened = read_bundle(locate(bundle))
    if opened.reference is None:
        raise BundleError(
            f"{opened.folder} has no reference to compare with; add one with 'patclass monitor "
            "reference'."
        )
    database = locate_store(store)
    watched = MonitoredModel(opened.folder.name, opened.fingerprint, opened.reference)
    found = Monitor(database, window).series(watched, windows)
    if not found:
        raise StoreError(
            f"the store in {database.place} has not yet {window:,} answers of {opened.folder} "
            f"(version {watched.version}); choose a smaller --window, or wait."
        )
    with atomic_write(output) as partial:
        partial.write_text(html_monitor(watched, found), encoding="utf-8")
    rings = ", ".join(found[-1].alerts)
    click.echo(f"{output}: {f'shifted: {rings}' if rings else 'as usual'}")
    return 1 if rings else 0


@monitor.command()
@bundle_argument
@settings_options(TrainSettings, "data", "labels", "code_column")
@device_option
def reference(bundle: str | None, device: str, **flags: str | None) -> int:
    """Give BUNDLE, made before there were references, one to compare live answers with.

    It is made from the validation rows of --data, by default those of its training.
    """
    from patclass.bundle import read_bundle
    from patclass.bundle.referenced import write_referenced
    from patclass.bundle.registry import locate
    from patclass.core.settings import data_like
    from patclass.data.corpus import load_corpus
    from patclass.predictor.pipeline import with_bar
    from patclass.predictor.reference import collect_reference, vocabulary_of

    opened = read_bundle(locate(bundle))
    corpus = load_corpus(data_like(opened.description.data_settings(), flags), opened.tree)
    rows = corpus["validation"]
    pipeline = opened.load_pipeline(device)
    answers = with_bar(pipeline, [row.text for row in rows], "scoring validation")
    seen = vocabulary_of(pipeline.tokenizer.encode([row.text for row in corpus["train"]]))
    made = collect_reference(
        *(opened.tree, rows, answers.encodings, answers.embeddings, answers.leaves, seen)
    )
    write_referenced(opened.folder, made)
    click.echo(f"{opened.folder}: reference of {len(rows):,} validation rows")
    return 0
