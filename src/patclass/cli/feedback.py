"""``patclass feedback``: people's verdicts taken to other stores and tools, and back."""

import sys
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from patclass.cli.options import store_option

if TYPE_CHECKING:
    from patclass.learning.exchange import Taken
    from patclass.store.database import Database

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
    read: "Callable[[Database, bytes, Counter[str]], Taken]"


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

    from patclass.files import whole_file
    from patclass.store.database import locate_store

    left_out: Counter[str] = Counter()
    lines = _format(name).write(locate_store(store), left_out)
    bar = tqdm(lines, desc="exporting", unit="row", disable=None, delay=2)
    if file == _STANDARD:
        for line in bar:
            click.echo(line, nl=False)
    else:
        with whole_file(file) as aside, aside.open("w", encoding="utf-8", newline="\n") as target:
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
    taken = _format(name).read(locate_store(store), _content(file), left_out)
    click.echo(f"{taken.added:,} added, {taken.known:,} known")
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
    from patclass.errors import DataError

    try:
        raw = sys.stdin.buffer.read() if file == _STANDARD else file.read_bytes()
    except OSError as problem:
        raise DataError(f"cannot read {file}: {problem.strerror}.") from problem
    return raw.removeprefix(BOM_UTF8)


def _say(left_out: Counter[str]) -> None:
    for what, count in left_out.items():
        click.echo(f"left out: {count:,} {what}", err=True)
