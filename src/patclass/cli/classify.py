"""``patclass classify``."""

import sys
from pathlib import Path
from typing import Any

import click

from patclass.cli.options import answer_options, device_option, model_option


@click.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@answer_options
@model_option
@device_option
def classify(source: Path, target: Path, model: str | None, device: str, **asked: Any) -> int:
    """Classify every row of the file IN into the file OUT.

    CSV, TSV, JSONL and Parquet, told by the suffix; formats may differ. IN has a column 'text',
    or 'title', 'abstract', 'claims', 'description', and maybe 'id'. OUT keeps the order and has
    id, label, name, confidence, level, section, class and subclass with their confidences, the
    best labels, warnings, and error for rows that cannot be answered. OUT appears when all rows
    are done, or not at all. The exit code is 1 if every row has an error.

    \b
        patclass classify patents.csv answers.parquet
    """
    from tqdm import tqdm

    from patclass.data.rows import count_rows
    from patclass.inference import Options, load
    from patclass.inference.stream import check_files, classify_file

    check_files(source, target)
    classifier = load(model, device)
    # Without a terminal there is no bar, and no need to read the file twice.
    total = count_rows(source) if sys.stderr.isatty() else None
    with tqdm(total=total, unit="row", disable=None) as bar:
        result = classify_file(classifier, source, target, Options(**asked), bar.update)
    bad = f", {result.errors:,} of them with an error" if result.errors else ""
    click.echo(f"{target}: {result.rows:,} rows{bad}")
    return 1 if result.rows and result.errors == result.rows else 0
