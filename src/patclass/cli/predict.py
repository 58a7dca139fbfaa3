"""``patclass predict``, ``classify`` and ``code``: answers."""

import json
import sys
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import click

from patclass.cli.options import (
    answer_options,
    device_option,
    model_option,
    open_bundle,
    output_option,
    settings_options,
)
from patclass.core.settings import TABLE_SETTINGS, TrainSettings
from patclass.offices.patent import SHOWN_CODES

if TYPE_CHECKING:
    from patclass.bundle import Bundle
    from patclass.inference import Prediction, ScoredLabel
    from patclass.inference.assigned_codes import AssignedCode
    from patclass.offices.patent import OfficePatent

# Characters of a passage that are printed.
EXCERPT = 70


@click.command()
@click.argument("text", required=False)
@click.option(
    "--number",
    help="Publication number of the patent instead of its text, such as EP1000000A1. It is looked "
    "up at the EPO or the USPTO, with your keys (PATCLASS_OFFICES_...).",
)
@answer_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Print text, or one JSON object.",
)
@model_option
@device_option
def predict(
    text: str | None,
    number: str | None,
    form: str,
    model: str | None,
    device: str,
    **options: Any,
) -> int:
    """Classify one patent, given as TEXT, on standard input or by --number.

    Prints the label at the deepest level at which the model is sure, with the levels above it,
    their confidence, and the next most probable labels. Warnings go to standard error. Of a number,
    the title and the codes that offices have assigned are printed as well.

    \b
        patclass predict "A drill bit with cutting inserts ..." -k 5
        patclass predict "A drill bit ..." --level subclass --coverage 0.9
        patclass predict --format json --neighbours 5 < abstract.txt
        patclass predict --number EP1000000A1
        patclass predict "A drill bit ..." --all-codes --precision 0.8
    """
    from patclass.inference import Classifier, Options
    from patclass.inference.prediction import record_of

    if text is not None and number is not None:
        raise click.UsageError("TEXT and --number: pass one of them.")
    if number is None and text is None:
        text = _standard_input()
    bundle = open_bundle(model)
    found = None if number is None else _look_up(number, bundle)
    classifier = Classifier(bundle, device)
    patent = text or "" if found is None else found.fields()
    prediction = classifier.classify([patent], Options(**options))[0]
    if form == "json":
        record = {k: v for k, v in record_of(prediction).items() if v is not None}
        record |= {} if found is None else {"patent": found.record()}
        click.echo(json.dumps(record, ensure_ascii=False))
        return 0
    if found is not None:
        _print_found(found)
    _print(prediction, classifier.text_of(patent), options["explain"])
    for warning in prediction.warnings:
        click.echo(f"warning: {warning.message}", err=True)
    return 0


def _look_up(number: str, bundle: "Bundle") -> "OfficePatent":
    from patclass.offices.lookup import Offices

    offices = Offices.from_environment()
    try:
        wanted = set(bundle.description.text.view.split("+")) & {"claims", "description"}
        return offices.find(number, wanted)
    finally:
        offices.close()


def _print_found(patent: "OfficePatent") -> None:
    click.echo(f"{patent.number} ({patent.office})  {patent.title or ''}".rstrip())
    if patent.codes:
        shown = ", ".join(patent.codes[:SHOWN_CODES])
        click.echo(f"assigned codes: {shown}{', …' if len(patent.codes) > SHOWN_CODES else ''}")
    click.echo()


def _print(prediction: "Prediction", text: str, explain: bool) -> None:
    state = "" if prediction.sure else ", unsure"
    click.echo(f"{prediction.label} ({prediction.level}{state})")
    for depth, step in enumerate(prediction.path):
        click.echo("  " * (depth + 1) + _line(step))
    click.echo(f"\nbest at level {prediction.level}")
    _print_labels(prediction.top)
    if prediction.label_set is not None:
        click.echo(f"\nlabel set ({len(prediction.label_set)} labels)")
        _print_labels(prediction.label_set)
    if prediction.codes is not None:
        click.echo("\nall codes")
        _print_codes(prediction.codes)
    if prediction.neighbours:
        click.echo("\nsimilar patents")
        for near in prediction.neighbours:
            code = near.codes[-1] if near.codes else "?"
            click.echo(f"{near.similarity:6.2f}  {near.id}  {code}  {near.title or ''}".rstrip())
    if explain:
        click.echo("\npassages, by their contribution to the answer")
        for part in prediction.passages:
            excerpt = shorten(text[part.start : part.end], EXCERPT, placeholder=" …")
            click.echo(f"{part.contribution:+6.2f}  {excerpt}")


def _print_labels(scored: "tuple[ScoredLabel, ...]") -> None:
    width = max(len(label.label) for label in scored)
    for label in scored:
        click.echo(_line(label, width))


def _print_codes(codes: "tuple[AssignedCode, ...]") -> None:
    width = max((len(code.code) for code in codes), default=0)
    for code in codes:
        title = "" if code.title == code.code else f"  {code.title}"
        click.echo(f"{code.probability:6.1%}  {code.role:10}  {code.code:{width}}{title}")


def _line(scored: "ScoredLabel", width: int = 0) -> str:
    name = "" if scored.name == scored.label else f"  {scored.name}"
    return f"{scored.confidence:6.1%}  {scored.label:{width}}{name}"


def _standard_input() -> str:
    from patclass.core.errors import DataError
    from patclass.data.cleaning import MAX_CHARS
    from patclass.data.encoding import decoded

    if sys.stdin.isatty():
        raise click.UsageError("no TEXT: pass it as an argument or on standard input, or --number.")
    # A character takes up to four bytes, so anything longer is over the limit for certain.
    raw = sys.stdin.buffer.read(4 * MAX_CHARS + 1)
    if len(raw) > 4 * MAX_CHARS:
        raise DataError(
            f"standard input has more than {MAX_CHARS:,} characters, which is all that is "
            "accepted. Give the title and the abstract, or cut it."
        )
    try:
        return decoded(raw)
    except DataError as problem:
        raise DataError(f"standard input: {problem}") from problem


@click.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@output_option("File of the answers; its suffix chooses the format.")
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
def classify(
    source: Path,
    output: Path,
    columns: str,
    text: str | None,
    model: str | None,
    device: str,
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

    \b
        patclass classify patents.csv -o answers.parquet
        patclass classify patents.jsonl -o answers.csv --level subclass --coverage 0.9
        patclass classify export.csv -o answers.csv --abstract Kurzfassung --columns none
    """
    from patclass.core.progress import progress
    from patclass.data.table import TableOptions
    from patclass.inference import Classifier, Options
    from patclass.inference.files import classify_rows, file_task

    stated = {name: options.pop(name) for name in TABLE_SETTINGS if name in options}
    names = [name.strip() for name in columns.split(",")]
    own = {"all": None, "none": []}.get(columns.strip(), names)
    task = file_task(source, output, TableOptions(**stated), text, own, options["all_codes"])
    classifier = Classifier(open_bundle(model), device)
    echo = partial(click.echo, err=True)
    with progress("classifying", task.table.estimate()) as bar:
        result = classify_rows(classifier, task, Options(**options), bar.update, echo)
    bad = f", {result.errors:,} of them with an error" if result.errors else ""
    click.echo(f"{output}: {result.rows:,} rows{bad}")
    return 1 if result.rows and result.errors == result.rows else 0


@click.command()
@click.argument("code")
def code(code: str) -> int:
    """Show a CPC CODE and the codes above it, with their titles.

    Spelling is free: "A61K 31/00", a61k31/00. An unknown class or subclass is an error that lists
    known ones. Groups have the titles of the IPC; a group that only the CPC has is shown without.

    \b
        patclass code "A61K 31/7036"
    """
    from patclass.cpc.scheme import path_titles

    for depth, (part, title) in enumerate(path_titles(code)):
        click.echo(f"{'  ' * depth}{part}  {'(no title)' if title == part else title}")
    return 0
