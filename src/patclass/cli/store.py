"""``patclass store`` and ``feedback``: what is remembered, and feedback to and from other tools."""

import re
import sys
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from patclass.cli.options import store_option

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
            self.fail(f"'{value}' is no age; expected hours, days or weeks: 12h, 90d, 4w.")
        return int(match[1]) * _UNITS[match[2]]


@click.group()
def store() -> None:
    """Look at what the service remembers, and forget it.

    Predictions, verdicts, reviews, models and events stand in a SQLite file, or in the PostgreSQL
    database of PATCLASS_DATABASE_URL.

    \b
        patclass store status
        patclass store purge --older-than 90d
        patclass store purge --text-hash "$(patclass store hash "$(cat patent.txt)")"
    """


@store.command()
@store_option
def status(store: Path | None) -> int:
    """Say where the store is and how many rows each table has."""
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
@click.option("--older-than", type=Age(), help="Forget what is older: 12h, 90d, 4w.")
@click.option("--text-hash", metavar="HASH", help="Forget all about the text with this hash.")
@click.option("--prediction", metavar="ID", help="Forget all about the text of this prediction.")
@click.option(
    "--feedback",
    is_flag=True,
    help="With --older-than: people's verdicts as well, and what "
    "models would have learnt from them.",
)
def purge(
    store: Path | None,
    older_than: timedelta | None,
    text_hash: str | None,
    prediction: str | None,
    feedback: bool,
) -> int:
    """Forget predictions and alarms by age, or all that is known of one text; for good.

    A patent that was sent in fields is remembered as one text; --prediction takes the id that
    came with the answer. Exit code 1 if nothing was known of the text.

    In SQLite's files it is overwritten at once; PostgreSQL keeps what was deleted until its next
    VACUUM, and both in backups.
    """
    from patclass.store.database import locate_store
    from patclass.store.purge import purge_before, purge_prediction, purge_text

    if [older_than, text_hash, prediction].count(None) != 2:
        raise click.UsageError("give one of --older-than, --text-hash and --prediction.")
    if text_hash is not None and not re.fullmatch("[0-9a-f]{64}", text_hash):
        raise click.UsageError(f"--text-hash {text_hash}: expected 64 digits of 0-9a-f.")
    database = locate_store(store)
    if older_than is not None:
        gone = purge_before(database, datetime.now(UTC) - older_than, feedback)
    elif prediction is not None:
        gone = purge_prediction(database, prediction)
    else:
        gone = purge_text(database, text_hash or "")
    if not database.checkpoint() and database.url.drivername == "sqlite":
        click.echo("somebody is reading just now: run it again to wipe the write-ahead log as well")
    if older_than is None and not any(vars(gone).values()):
        click.echo(f"nothing is known of {prediction or text_hash}", err=True)
        return EXIT_NOTHING
    click.echo(", ".join(f"{count:,} {table}" for table, count in vars(gone).items()) + " gone")
    return 0


@store.command()
@click.argument("text")
def hash(text: str) -> int:
    """Say the hash by which a text is remembered; letter case and spaces make no difference."""
    from patclass.data.text import text_sha256

    click.echo(text_sha256(text))
    return 0


_STANDARD = Path("-")

_file_argument = click.argument("file", type=click.Path(path_type=Path))

_format_option = click.option(
    "--format",
    "name",
    type=click.Choice(["jsonl", "label-studio", "argilla"]),
    default="jsonl",
    show_default=True,
    help="JSON lines with all that is known, tasks of Label Studio, or records of Argilla 2.",
)


class _Format(NamedTuple):
    """How verdicts are written and read."""

    write: "Callable[[Database, Counter[str]], Iterator[str]]"
    read: "Callable[[Database, bytes, Counter[str]], ImportResult]"


@click.group()
def feedback() -> None:
    """Take people's verdicts to other stores and labelling tools, and back.

    \b
        patclass feedback export verdicts.jsonl
        patclass feedback import verdicts.jsonl --store other.db
        patclass feedback export tasks.json --format label-studio
        patclass feedback import annotated.json --format label-studio
    """


@feedback.command("export")
@_file_argument
@_format_option
@store_option
def export_feedback(file: Path, name: str, store: Path | None) -> int:
    """Write the verdicts to FILE, or for - to standard output.

    For a labelling tool: one task a text, the model's answer, and the verdicts that hold. Texts
    that were not kept are left out.
    """
    from tqdm import tqdm

    from patclass.core.files import atomic_write
    from patclass.store.database import locate_store

    left_out: Counter[str] = Counter()
    lines = _format(name).write(locate_store(store), left_out)
    bar = tqdm(lines, desc="exporting", unit="row", disable=None, delay=2)
    if file == _STANDARD:
        for line in bar:
            click.echo(line, nl=False)
    else:
        with (
            atomic_write(file) as partial,
            partial.open("w", encoding="utf-8", newline="\n") as target,
        ):
            target.writelines(bar)
        click.echo(f"{file}: written")
    _say(left_out)
    return 0


@feedback.command("import")
@_file_argument
@_format_option
@store_option
def import_feedback(file: Path, name: str, store: Path | None) -> int:
    """Keep the verdicts of FILE, or for - of standard input: all of them, or none.

    What is there already is known by its key and counts once. People who now disagree about a
    text make a case for review.
    """
    from patclass.store.database import locate_store

    left_out: Counter[str] = Counter()
    result = _format(name).read(locate_store(store), _content(file), left_out)
    click.echo(f"{result.added:,} added, {result.duplicates:,} known")
    _say(left_out)
    return 0


def _format(name: str) -> _Format:
    from patclass.learning import argilla, exchange, label_studio

    return {
        "jsonl": _Format(exchange.write, exchange.read),
        "label-studio": _Format(label_studio.write, label_studio.read),
        "argilla": _Format(argilla.write, argilla.read),
    }[name]


def _content(file: Path) -> bytes:
    from patclass.core.errors import DataError

    try:
        raw = sys.stdin.buffer.read() if file == _STANDARD else file.read_bytes()
    except OSError as problem:
        raise DataError(f"cannot read {file}: {problem.strerror}.") from problem
    return raw.removeprefix(BOM_UTF8)


def _say(left_out: Counter[str]) -> None:
    for what, count in left_out.items():
        click.echo(f"left out: {count:,} {what}", err=True)
