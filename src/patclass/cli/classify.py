"""``patclass classify``."""

from pathlib import Path

import click

from patclass.cli.options import model_option, top_option


@click.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@top_option
@model_option
def classify(source: Path, target: Path, k: int, model: Path) -> int:
    """Classify every row of the file IN into the file OUT.

    CSV, TSV, JSONL and Parquet, told by the suffix; formats may differ. IN has a column 'text',
    or 'title', 'abstract', 'claims', 'description', and maybe 'id'. OUT keeps the order and has
    id, label, name, confidence, top, and error for rows that cannot be answered. OUT appears
    when all rows are done, or not at all.

    \b
        patclass classify patents.csv answers.parquet
    """
    from tqdm import tqdm

    from patclass.data.rows import count_rows
    from patclass.inference import load
    from patclass.inference.stream import check_files, classify_file

    check_files(source, target)
    with tqdm(total=count_rows(source), unit="row", disable=None) as bar:
        result = classify_file(load(model), source, target, k, bar.update)
    bad = f", {result.errors:,} of them with an error" if result.errors else ""
    click.echo(f"{target}: {result.rows:,} rows{bad}")
    return 0
