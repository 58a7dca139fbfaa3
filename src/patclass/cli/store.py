"""``patclass store``: what is remembered, and forgetting it."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from patclass.cli.options import store_option

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
    click.echo(f"{database.place} (version {HEAD})")
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
    if not database.wipe() and database.url.drivername == "sqlite":
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
    from patclass.data.views import text_sha256

    click.echo(text_sha256(text))
    return 0
