"""``patclass store`` and ``feedback``: stored rows, and feedback to and from other tools."""

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from patclass.cli.options import output_option, store_option

if TYPE_CHECKING:
    from patclass.learning.exchange import ImportResult
    from patclass.store.database import Database


EXIT_NOTHING = 1

_AGE = re.compile(r"(\d{1,5})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


class Age(click.ParamType[timedelta]):
    """``90d``, ``12h`` or ``4w``."""

    name = "age"

    def convert(
        self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """The age as a span of time."""
        if isinstance(value, timedelta):
            return value
        match = _AGE.fullmatch(value)
        if match is None:
            self.fail(f"'{value}': expected hours, days or weeks, such as 12h, 90d, 4w.")
        return int(match[1]) * _UNITS[match[2]]


@click.group()
def store() -> None:
    """Inspect what the service has stored, and delete it.

    Predictions, feedback, reviews, models and events are stored in a SQLite file, or in the
    PostgreSQL database of PATCLASS_DATABASE_URL.

    \b
        patclass store status
        patclass store purge --older-than 90d
        patclass store purge --text-hash "$(patclass store hash "$(cat patent.txt)")"
    """


@store.command()
@store_option
def status(store: Path | None) -> int:
    """Show where the store is and how many rows each table has."""
    from patclass.store.database import locate_store
    from patclass.store.migrations import HEAD
    from patclass.store.purge import count_rows

    database = locate_store(store)
    counts = count_rows(database)
    click.echo(f"{database.location} (version {HEAD})")
    for table, count in counts.items():
        click.echo(f"{table:12} {count:>12,}")
    return 0


@store.command()
@store_option
@click.option("--older-than", type=Age(), help="Delete what is older: 12h, 90d, 4w.")
@click.option("--text-hash", metavar="HASH", help="Delete all rows of the text with this hash.")
@click.option("--prediction", metavar="ID", help="Delete all rows of this prediction's text.")
@click.option(
    "--feedback",
    is_flag=True,
    help="With --older-than: delete feedback as well, with which models would be retrained.",
)
def purge(
    store: Path | None,
    older_than: timedelta | None,
    text_hash: str | None,
    prediction: str | None,
    feedback: bool,
) -> int:
    """Delete predictions and alerts by age, or all rows of one text; this cannot be undone.

    A patent that was sent in fields is stored as one text; --prediction takes the id that was
    returned with the answer. Exit code 1 if there is no row of the text.

    SQLite overwrites deleted rows at once; PostgreSQL keeps them until its next VACUUM. Backups
    keep them in both cases.

    \b
        patclass store purge --older-than 90d
        patclass store purge --prediction 3f8a09b2...
    """
    from patclass.store.database import locate_store
    from patclass.store.purge import purge_before, purge_prediction, purge_text

    if [older_than, text_hash, prediction].count(None) != 2:
        raise click.UsageError("expected one of --older-than, --text-hash and --prediction.")
    if text_hash is not None and not re.fullmatch("[0-9a-f]{64}", text_hash):
        raise click.UsageError(f"--text-hash {text_hash}: expected 64 digits of 0-9a-f.")
    database = locate_store(store)
    if older_than is not None:
        deleted = purge_before(database, datetime.now(UTC) - older_than, feedback)
    elif prediction is not None:
        deleted = purge_prediction(database, prediction)
    else:
        deleted = purge_text(database, text_hash or "")
    if not database.checkpoint():
        click.echo("the store is being read: run this again to overwrite its write-ahead log")
    if older_than is None and not any(vars(deleted).values()):
        click.echo(f"there are no rows of {prediction or text_hash}", err=True)
        return EXIT_NOTHING
    counts = ", ".join(f"{count:,} {table}" for table, count in vars(deleted).items())
    click.echo(f"{counts} deleted")
    return 0


@store.command()
@click.argument("text")
def hash(text: str) -> int:
    """Print the hash by which a text is stored; letter case and white space do not change it."""
    from patclass.data.text import text_sha256

    click.echo(text_sha256(text))
    return 0


_STANDARD = Path("-")

_format_option = click.option(
    "--format",
    "name",
    type=click.Choice(["jsonl", "label-studio", "argilla"]),
    default="jsonl",
    show_default=True,
    help="JSON lines with all fields, tasks of Label Studio, or records of Argilla 2.",
)


class _Format(NamedTuple):
    """How feedback is written and read."""

    write: "Callable[[Database, Counter[str]], Iterator[str]]"
    read: "Callable[[Database, bytes, Counter[str]], ImportResult]"


@click.group()
def feedback() -> None:
    """Export feedback to other stores and labelling tools, and import it.

    \b
        patclass feedback export -o feedback.jsonl
        patclass feedback import feedback.jsonl --store other.db
        patclass feedback export -o tasks.json --format label-studio
        patclass feedback import annotated.json --format label-studio
    """


@feedback.command("export")
@output_option("File of the feedback; - for standard output.")
@_format_option
@store_option
def export_feedback(output: Path, name: str, store: Path | None) -> int:
    """Write all feedback to a file.

    For a labelling tool: one task for each text, with the model's answer and the feedback in
    force. Texts that were not stored are left out.

    \b
        patclass feedback export -o feedback.jsonl
        patclass feedback export -o - --format argilla > records.json
    """
    from patclass.core.files import atomic_write
    from patclass.core.progress import track
    from patclass.store.database import locate_store

    left_out: Counter[str] = Counter()
    lines = _format(name).write(locate_store(store), left_out)
    rows = track(lines, "exporting")
    if output == _STANDARD:
        for line in rows:
            click.echo(line, nl=False)
    else:
        with (
            atomic_write(output) as partial,
            partial.open("w", encoding="utf-8", newline="\n") as target,
        ):
            target.writelines(rows)
        click.echo(f"{output}: written")
    _report(left_out)
    return 0


@feedback.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@_format_option
@store_option
def import_feedback(file: Path, name: str, store: Path | None) -> int:
    """Store the feedback of FILE, or of standard input for -: all of it, or none.

    Feedback that is stored already is recognised by its key and not added again. Texts whose
    feedback now disagrees are added to the review queue.

    \b
        patclass feedback import feedback.jsonl
        patclass feedback import annotated.json --format label-studio
    """
    from patclass.store.database import locate_store

    left_out: Counter[str] = Counter()
    result = _format(name).read(locate_store(store), _content(file), left_out)
    if result.recognised is not None:
        click.echo(f"{file}: {result.recognised}", err=True)
    click.echo(f"{result.added:,} added, {result.duplicates:,} known")
    _report(left_out)
    return 0


def _format(name: str) -> _Format:
    from patclass.learning import argilla, exchange, label_studio

    return {
        "jsonl": _Format(exchange.write, exchange.read),
        "label-studio": _Format(label_studio.write, label_studio.read),
        "argilla": _Format(argilla.write, argilla.read),
    }[name]


def _content(file: Path) -> bytes:
    """The content of a file in UTF-8."""
    from patclass.core.errors import DataError
    from patclass.data.encoding import decoded

    try:
        raw = sys.stdin.buffer.read() if file == _STANDARD else file.read_bytes()
    except OSError as problem:
        raise DataError(f"cannot read {file}: {problem.strerror}.") from problem
    try:
        return decoded(raw).encode()
    except DataError as problem:
        raise DataError(f"{file}: {problem}") from problem


def _report(left_out: Counter[str]) -> None:
    for what, count in left_out.items():
        click.echo(f"left out: {count:,} {what}", err=True)
