"""``patclass audit``."""

from pathlib import Path
from typing import Any

import click

from patclass.cli.options import settings_options


@click.command()
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--level", help="Level whose labels are audited.  [default: the coarsest]")
@click.option(
    "--folds", type=click.IntRange(2, 20), default=5, show_default=True, help="Parts of the data."
)
@settings_options("data", "labels", "text", "code_column", "train_rows", "seed")
def audit(target: Path, level: str | None, folds: int, **flags: Any) -> int:
    """List the training rows whose label is disputed most, for a person to review.

    A linear model on words is fitted on all parts of the training rows but one and asked about
    that one, so no row vouches for itself (confident learning). OUT (.csv, .tsv, .jsonl or
    .parquet) has a row for each dispute, the most certain first.

    \b
        patclass audit disputed.csv --data patents/ --labels section
    """
    from tqdm import tqdm

    from patclass.config import load_settings
    from patclass.data.corpus import load_corpus
    from patclass.data.rows import file_format
    from patclass.evaluation.audit import disputed, noise, out_of_fold
    from patclass.evaluation.disputes import write_disputes
    from patclass.files import check_writable
    from patclass.inference.answer import check_level

    file_format(target)
    check_writable(target)
    corpus = load_corpus(load_settings(flags).data)
    level = level or corpus.tree.levels[0]
    check_level(corpus.tree, level)
    labels = corpus.tree.at(level)
    known = [(row, row.truth[corpus.tree.levels.index(level)]) for row in corpus["train"]]
    pairs = [(row, label) for row, label in known if label is not None and label >= 0]
    texts, given = [row.text for row, _ in pairs], [label for _, label in pairs]
    with tqdm(total=len(pairs), desc="auditing", unit="row", disable=None) as bar:
        probabilities = out_of_fold(texts, given, len(labels), folds, advance=bar.update)
    found = disputed(given, probabilities)
    write_disputes(found, [row for row, _ in pairs], labels, target)
    click.echo(f"{target}: {len(found):,} of {len(pairs):,} labels are disputed ({level})")
    shares = sorted(noise(given, probabilities).items(), key=lambda item: -item[1])[:5]
    worst = ", ".join(f"{labels[label].code} {share:.1%}" for label, share in shares)
    click.echo(f"estimated share of wrong labels, the highest: {worst}")
    return 0
