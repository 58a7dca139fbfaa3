"""``patclass predict``, ``classify`` and ``code``: answers."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from patclass.cli.options import answer_options, device_option, model_option

if TYPE_CHECKING:
    from patclass.inference import Prediction, ScoredLabel


@click.command()
@click.argument("text", required=False)
@answer_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@model_option
@device_option
def predict(text: str | None, as_json: bool, model: str | None, device: str, **asked: Any) -> int:
    """Classify one patent's TEXT, or what comes on standard input.

    The answer is the deepest code that the text supports, with the codes above it, how sure each
    is, and what else it could be. Reasons to doubt it are printed as warnings.

    \b
        patclass predict "A drill bit with cutting inserts ..." -k 5
        patclass predict "A drill bit ..." --level subclass --set 0.9
        patclass predict --json --neighbours 5 < abstract.txt
    """
    from patclass.inference import Options, load
    from patclass.inference.prediction import record_of

    if text is None:
        text = _standard_input()
    classifier = load(model, device)
    prediction = classifier.classify([text], Options(**asked))[0]
    if as_json:
        record = {k: v for k, v in record_of(prediction).items() if v is not None}
        click.echo(json.dumps(record, ensure_ascii=False))
        return 0
    _print(prediction, classifier.text_of(text), asked["explain"])
    for warning in prediction.warnings:
        click.echo(f"warning: {warning.message}", err=True)
    return 0


def _print(prediction: "Prediction", text: str, explain: bool) -> None:
    state = "" if prediction.sure else ", unsure"
    click.echo(f"{prediction.label} ({prediction.level}{state})")
    for depth, step in enumerate(prediction.path):
        click.echo("  " * (depth + 1) + _line(step))
    click.echo(f"\nbest at level {prediction.level}")
    _print_candidates(prediction.top)
    if prediction.label_set is not None:
        click.echo(f"\nset ({len(prediction.label_set)} of this level's labels)")
        _print_candidates(prediction.label_set)
    for tag in prediction.tags:
        if tag.confidence >= 0.5:
            click.echo(f"\ntag\n{_line(tag)}")
    if prediction.neighbours:
        click.echo("\nnearest known patents")
        for near in prediction.neighbours:
            code = near.codes[-1] if near.codes else "?"
            click.echo(f"{near.similarity:6.2f}  {near.id}  {code}  {near.title or ''}".rstrip())
    if explain:
        click.echo("\npassages, by what the answer loses without them")
        for part in prediction.passages:
            excerpt = text[part.start : part.end].strip()[:70]
            click.echo(f"{part.contribution:+6.2f}  {excerpt}")


def _print_candidates(found: "tuple[ScoredLabel, ...]") -> None:
    width = max(len(candidate.label) for candidate in found)
    for candidate in found:
        click.echo(_line(candidate, width))


def _line(candidate: "ScoredLabel", width: int = 0) -> str:
    name = "" if candidate.name == candidate.label else f"  {candidate.name}"
    return f"{candidate.confidence:6.1%}  {candidate.label:{width}}{name}"


def _standard_input() -> str:
    from patclass.core.errors import DataError
    from patclass.data.text import MAX_CHARS

    if sys.stdin.isatty():
        raise click.UsageError("no TEXT: give it as an argument or on standard input.")
    # A character takes up to four bytes, so anything longer is over the limit for certain.
    raw = sys.stdin.buffer.read(4 * MAX_CHARS + 1)
    if len(raw) > 4 * MAX_CHARS:
        raise DataError(
            f"standard input has more than {MAX_CHARS:,} characters, which is all that is "
            "accepted. Give the title and the abstract, or cut it."
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise DataError(f"standard input is not UTF-8: {problem}.") from problem


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
    from patclass.inference.files import check_files, classify_file

    check_files(source, target)
    classifier = load(model, device)
    # Without a terminal there is no bar, and no need to read the file twice.
    total = count_rows(source) if sys.stderr.isatty() else None
    with tqdm(total=total, unit="row", disable=None) as bar:
        result = classify_file(classifier, source, target, Options(**asked), bar.update)
    bad = f", {result.errors:,} of them with an error" if result.errors else ""
    click.echo(f"{target}: {result.rows:,} rows{bad}")
    return 1 if result.rows and result.errors == result.rows else 0


@click.command()
@click.argument("code")
def code(code: str) -> int:
    """Say what a CPC CODE means: its section, class and subclass with their titles.

    Any spelling will do; a code that does not exist is an error that names those that do.

    \b
        patclass code "A61K 31/00"
    """
    from patclass.cpc.scheme import path_titles

    for depth, (part, title) in enumerate(path_titles(code)):
        click.echo(f"{'  ' * depth}{part}  {title}")
    return 0
