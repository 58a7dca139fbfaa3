"""``patclass predict`` and ``code``: one answer."""

import json
import sys
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import click

from patclass.cli.options import (
    answer_options,
    device_option,
    format_option,
    model_option,
    open_bundle,
)
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
@format_option
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
