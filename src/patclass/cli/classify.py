"""``patclass classify``: a file of patents, or any number of files by many workers."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from patclass.cli.options import (
    answer_options,
    device_option,
    model_option,
    open_bundle,
    settings_options,
)
from patclass.cli.train import EXIT_INTERRUPTED
from patclass.core.errors import ConfigError
from patclass.core.settings import TABLE_SETTINGS, TrainSettings

if TYPE_CHECKING:
    from patclass.bundle import Bundle
    from patclass.data.table import TableOptions
    from patclass.inference import Options
    from patclass.scale.job import Request
    from patclass.scale.run import Workers


@click.command()
@click.argument("source", metavar="IN")
@click.option(
    "--output",
    "-o",
    metavar="PATH",
    required=True,
    help="File of the answers, whose suffix chooses the format; without a suffix, a folder of "
    "many, by many workers.",
)
@click.option(
    "--columns",
    metavar="NAMES",
    default="all",
    show_default=True,
    help="Columns of IN to repeat before the answers: names joined by commas, all, or none.",
)
@click.option(
    "--text",
    metavar="TEXT",
    help="Column of the text, or fields joined by '+' (title+abstract).  [default: those that the "
    "model was trained on, else any that hold a text]",
)
@settings_options(TrainSettings, *(name for name in TABLE_SETTINGS if name != "codes"))
@answer_options
@model_option
@device_option
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    help="Into a folder: what runs the workers, processes of this machine or a Ray cluster.  "
    "[default: local]",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 10_000),
    metavar="NUMBER",
    help="Into a folder: how many work at a time, each with one core and a copy of the model.  "
    "[default: one for each core]",
)
@click.option(
    "--address",
    metavar="ADDRESS",
    help="With --engine ray: the cluster.  [default: RAY_ADDRESS, else this machine]",
)
@click.option(
    "--part-format",
    type=click.Choice(["parquet", "jsonl", "csv", "tsv"]),
    help="Into a folder: the format of its files.  [default: parquet]",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Into a folder: go on with the job that is there, if there is one. What is done is not "
    "done again.",
)
def classify(
    source: str,
    output: str,
    columns: str,
    text: str | None,
    model: str | None,
    device: str,
    engine: str | None,
    workers: int | None,
    address: str | None,
    part_format: str | None,
    resume: bool,
    **options: Any,
) -> int:
    """Classify every row of the file IN, and write the answers to another file.

    IN is a table (CSV, TSV, XLSX, XLS, ODS, JSON, JSONL or Parquet, also packed as .gz or .zip) or
    patent documents of offices (XML, PDF, archives).
    Encoding, delimiter, header and columns are recognised, as in exports of Espacenet, Google
    Patents, Lens and others; one line says what was recognised, and each can be overruled.

    The output is CSV, TSV, JSONL or Parquet, by its suffix. It has the columns of IN as they were,
    then those of the answers: id, label, name, confidence, level, section, class and subclass with
    their confidences, the most probable labels, warnings, and error for rows that could not be
    classified; with --all-codes also codes, a list. A column of IN that has the name of one of
    these is called e.g. 'label (input)'. The rows keep their order. The file appears when all rows
    are done, or not at all. The exit code is 1 if every row has an error.

    If PATH has no suffix it is a folder, or the URL of one (s3://, gs://), and IN may be as well:
    any number of files are classified by all cores, or by a Ray cluster, into files of at most
    10,000 rows. Such a job may be stopped at any time, and goes on with --resume. A file of IN that
    turns out to be damaged does not keep the others from being classified; the exit code is then 1.

    \b
        patclass classify patents.csv -o answers.parquet
        patclass classify patents.jsonl -o answers.csv --level subclass --coverage 0.9
        patclass classify export.csv -o answers.csv --abstract Kurzfassung --columns none
        patclass classify grants/ -o answers --workers 8 --resume
        patclass classify s3://patents/2026 -o s3://answers/2026 --engine ray --address auto
    """
    from patclass.data.table import TableOptions
    from patclass.inference import Options

    table = TableOptions(**{n: options.pop(n) for n in TABLE_SETTINGS if n in options})
    chosen = Options(**options)
    names = [name.strip() for name in columns.split(",")]
    own = {"all": None, "none": []}.get(columns.strip(), names)
    if "://" in output or not Path(output).suffix:
        bundle = open_bundle(model)
        asked = _request(source, bundle, chosen, table, text, own, part_format)
        pool = _workers(engine, workers, address, device)
        return _classify_folder(asked, bundle, output, pool, resume)
    _check_single(source, output, engine, workers, address, part_format, resume)
    return _classify_file(source, output, chosen, table, text, own, model, device)


def _check_single(source: str, output: str, *given: object) -> None:
    """Refuse what has a meaning only where the answers are a folder."""
    if any(value not in (None, False) for value in given):
        raise click.UsageError(
            f"{output} is a single file, which one process writes; --engine, --workers, --address, "
            "--part-format and --resume are for a folder of answers: give -o a name without a "
            "suffix."
        )
    if "://" in source or Path(source).is_dir():
        raise click.UsageError(
            f"{source} is a folder, whose answers are one as well: give -o a name without a suffix."
        )


def _classify_file(
    source: str,
    output: str,
    options: "Options",
    table: "TableOptions",
    text: str | None,
    columns: list[str] | None,
    model: str | None,
    device: str,
) -> int:
    from patclass.core.progress import progress
    from patclass.inference import Classifier
    from patclass.inference.files import classify_rows, file_task

    task = file_task(Path(source), Path(output), table, text, columns, options.all_codes)
    classifier = Classifier(open_bundle(model), device)
    echo = partial(click.echo, err=True)
    with progress("classifying", task.table.estimate()) as bar:
        result = classify_rows(classifier, task, options, bar.update, echo)
    bad = f", {result.errors:,} of them with an error" if result.errors else ""
    click.echo(f"{output}: {result.rows:,} rows{bad}")
    return 1 if result.rows and result.errors == result.rows else 0


def _request(
    source: str,
    bundle: "Bundle",
    options: "Options",
    table: "TableOptions",
    text: str | None,
    columns: list[str] | None,
    part_format: str | None,
) -> "Request":
    from dataclasses import asdict

    from patclass.scale.job import Request
    from patclass.scale.storage import Storage

    return Request(
        source=Storage.of(source).url,
        bundle=bundle.sha256,
        options=asdict(options),
        text=text,
        columns=None if columns is None else tuple(columns),
        table=asdict(table),
        format=f".{part_format or 'parquet'}",
    )


def _workers(engine: str | None, count: int | None, address: str | None, device: str) -> "Workers":
    """Who works: the processes of this machine, or a Ray cluster."""
    from patclass.engines.base import cores
    from patclass.scale.run import Workers

    if engine == "ray":
        from patclass.scale.ray_data import connect, run_on_ray

        there = connect(address, max(cores(), count or 1))
        return Workers(run_on_ray, count or there, device=device)
    if address is not None:
        raise ConfigError(
            f"address {address}: only a Ray cluster has one; use it with engine ray.",
            setting=("address", "engine"),
        )
    from patclass.scale.local import run_here

    return Workers(run_here, count or cores(), device=device)


def _classify_folder(
    request: "Request", bundle: "Bundle", output: str, workers: "Workers", resume: bool
) -> int:
    from patclass.scale.run import run_job

    echo = partial(click.echo, err=True)
    try:
        done = run_job(request, str(bundle.folder), output, workers, resume, echo)
    except KeyboardInterrupt:
        click.echo("interrupted; what is done is kept: go on with --resume", err=True)
        return EXIT_INTERRUPTED
    bad = f", {done.errors:,} of them with an error" if done.errors else ""
    click.echo(f"{output}: {done.rows:,} rows{bad} in {done.parts:,} parts")
    for number, reason in list(done.failed.items())[:3]:
        click.echo(f"part {number} failed: {reason}", err=True)
    if done.failed:
        click.echo(
            f"{len(done.failed):,} parts failed; when that is mended, try them again with --resume",
            err=True,
        )
    return 1 if done.failed or (done.rows and done.errors == done.rows) else 0
