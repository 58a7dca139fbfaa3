"""``patclass monitor``: what live answers look like beside those that were measured."""

from pathlib import Path

import click

from patclass.cli.options import bundle_argument, device_option, settings_options, store_option
from patclass.monitoring.defaults import WINDOW


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
    from patclass.errors import BundleError, StoreError
    from patclass.files import whole_file
    from patclass.inference.locate import locate
    from patclass.monitoring.html import html_monitor
    from patclass.monitoring.monitor import Monitor, Watched
    from patclass.store.database import locate_store

    opened = read_bundle(locate(bundle))
    if opened.reference is None:
        raise BundleError(
            f"{opened.folder} has no reference to compare with; add one with 'patclass monitor "
            "reference'."
        )
    database = locate_store(store)
    watched = Watched(opened.folder.name, opened.fingerprint, opened.reference)
    found = Monitor(database, window).series(watched, windows)
    if not found:
        raise StoreError(
            f"the store in {database.place} has not yet {window:,} answers of {opened.folder} "
            f"(version {watched.version}); choose a smaller --window, or wait."
        )
    with whole_file(output) as aside:
        aside.write_text(html_monitor(watched, found), encoding="utf-8")
    rings = ", ".join(found[-1].alarms)
    click.echo(f"{output}: {f'shifted: {rings}' if rings else 'as usual'}")
    return 1 if rings else 0


@monitor.command()
@bundle_argument
@settings_options("data", "labels", "code_column")
@device_option
def reference(bundle: str | None, device: str, **flags: str | None) -> int:
    """Give BUNDLE, made before there were references, one to compare live answers with.

    It is made from the validation rows of --data, by default those of its training.
    """
    from patclass.bundle import read_bundle
    from patclass.bundle.referenced import write_referenced
    from patclass.config import data_like
    from patclass.data.corpus import load_corpus
    from patclass.inference.locate import locate
    from patclass.monitoring.collect import collect_reference
    from patclass.monitoring.reference import tokens_seen
    from patclass.pipeline import with_bar

    opened = read_bundle(locate(bundle))
    corpus = load_corpus(data_like(opened.description.data_settings(), flags), opened.tree)
    rows = corpus["validation"]
    pipeline = opened.load_pipeline(device)
    answers = with_bar(pipeline, [row.text for row in rows], "scoring validation")
    seen = tokens_seen(pipeline.tokenizer.encode([row.text for row in corpus["train"]]))
    made = collect_reference(
        *(opened.tree, rows, answers.readings, answers.states, answers.leaves, seen)
    )
    write_referenced(opened.folder, made)
    click.echo(f"{opened.folder}: reference of {len(rows):,} validation rows")
    return 0
