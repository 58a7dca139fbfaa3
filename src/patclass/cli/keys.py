"""``patclass keys``."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from patclass.service.keys import Key, KeyFile

Command = TypeVar("Command", bound=Callable[..., Any])


def _file_option(command: Command) -> Command:
    return click.option(
        "--file",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="File of the keys.  [default: $PATCLASS_KEYS, else patclass-keys.json]",
    )(command)


@click.group()
def keys() -> None:
    """Make, list and revoke the keys with which others call the HTTP service.

    The file of the keys holds no secret, only what a key can be checked with. A service that runs
    knows of every change at once.

    \b
        patclass keys create "search team"
        patclass keys list
        patclass keys revoke 1f0c9a2e
    """


@keys.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(["user", "admin"]),
    default="user",
    show_default=True,
    help="What the key allows: to ask for answers, or also to look after the service.",
)
@_file_option
def create(name: str, role: str, file: Path | None) -> int:
    """Make a key for NAME, which says who or what will use it, and print it.

    The key alone goes to standard output. It is shown this once: if it is lost, revoke it and make
    another. One name may have several keys.

    \b
        patclass keys create "search team"
        patclass keys create operations --role admin > operations.key
    """
    from patclass.service.keys import Role

    store = _key_file(file)
    click.echo(store.create(name, Role(role)))
    click.echo(
        f"note: the key is shown only this once; {store.path} has no more than its hash", err=True
    )
    return 0


@keys.command("list")
@_file_option
def list_keys(file: Path | None) -> int:
    """List the keys there are: id, role, when they were made (UTC), name.

    The secrets are not kept, so none can be shown.

    \b
        patclass keys list
        patclass keys list --file /etc/patclass/keys.json
    """
    store = _key_file(file)
    found = store.list()
    if not found:
        click.echo(f"no keys in {store.path}; make one with 'patclass keys create NAME'", err=True)
        return 0
    click.echo(f"{'id':8}  {'role':5}  {'created':20}  name")
    for key in found:
        click.echo(_line(key))
    return 0


@keys.command()
@click.argument("id")
@_file_option
def revoke(id: str, file: Path | None) -> int:
    """Revoke the key of this ID; from then on the service refuses it.

    The ID is the part of the key between the underscores, and the first column of the list.

    \b
        patclass keys revoke 1f0c9a2e
    """
    store = _key_file(file)
    store.revoke(id)
    click.echo(f"{store.path}: {id} is revoked")
    return 0


def _key_file(file: Path | None) -> "KeyFile":
    from patclass.service.keys import KeyFile, default_path

    return KeyFile(file or default_path())


def _line(key: "Key") -> str:
    return f"{key.id:8}  {key.role:5}  {key.created:20}  {key.name}"
