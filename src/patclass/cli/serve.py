"""``patclass serve``, ``keys`` and ``ui``: the service and the page."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from patclass.cli.options import config_option, settings_options
from patclass.service.settings import ServiceSettings

if TYPE_CHECKING:
    from patclass.service.keys import Key, KeyFile


Command = TypeVar("Command", bound=Callable[..., Any])


@click.command()
@click.option(
    "--model",
    "-m",
    "models",
    multiple=True,
    metavar="[NAME=]FOLDER",
    help="A bundle that answers, or 'shipped'; several with names of their own, of which the first "
    "answers where a request names none.  "
    "[default: PATCLASS_MODEL, else final_model, else shipped]",
)
@config_option
@settings_options(ServiceSettings)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where bundles that were not exported are computed.",
)
def serve(models: tuple[str, ...], config: Path | None, device: str, **flags: Any) -> int:
    """Answer over HTTP until Ctrl-C or SIGTERM.

    POST /predict {"text": "..."} answers one text, POST /v1/classify many; /docs shows all of it.
    SIGHUP, or POST /v1/models/reload, loads the bundles anew, verifies them, and lets them take
    over between two requests. Export a bundle first: it then answers several times as fast.

    On loopback everybody may call. Any other --host needs API keys, or --insecure.

    \b
        patclass export final_model -o final-int8
        patclass serve --model final-int8
        patclass keys create "search team" --file keys.json
        patclass serve --model cpc=final-int8 --model mine=other --host 0.0.0.0 --keys keys.json
    """
    # Before numpy is imported: its threads would wait, spinning, on the cores that the engine uses.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from patclass.service.keys import VARIABLE
    from patclass.service.models import Models, parse_places
    from patclass.service.server import serve as run

    settings = ServiceSettings.load(flags, config)
    if settings.open and not settings.insecure and os.environ.get(VARIABLE):
        settings = settings.model_copy(update={"keys": Path(os.environ[VARIABLE])})
    run(settings, Models(parse_places(models), device))
    return 0


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


@click.command()
@click.option(
    "--api",
    metavar="URL",
    help="Address of the service.  [default: PATCLASS_API_URL, else http://localhost:9000]",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8501, show_default=True, help="Port to listen on.")
def ui(api: str | None, host: str, port: int) -> int:
    """Show the web page for people who read patents, until Ctrl-C.

    It asks the service that 'patclass serve' runs, here or on another machine. Where that needs an
    API key, set PATCLASS_API_KEY for all who use the page, or let each of them enter their own.
    The page itself lets in everybody who can reach it: off loopback, put a proxy before it.

    \b
        patclass serve &
        patclass ui
        patclass ui --api https://patents.example
    """
    from streamlit.web.cli import main as streamlit

    from patclass.ui.client import ADDRESS_VARIABLE

    if api is not None:
        os.environ[ADDRESS_VARIABLE] = api
    script = Path(__file__).parents[1] / "ui" / "app.py"
    settings = {
        "server.address": host,
        "server.port": port,
        "server.headless": "true",
        "server.maxUploadSize": 50,
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.showErrorDetails": "none",
        "client.toolbarMode": "minimal",
        "theme.light.primaryColor": "#0072B2",
        "theme.dark.primaryColor": "#1F83C4",
    }
    flags = [f"--{name}={value}" for name, value in settings.items()]
    streamlit.main(["run", str(script), *flags], standalone_mode=False)
    return 0
