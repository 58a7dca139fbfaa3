"""``patclass serve``, ``keys`` and ``ui``: the service and the page."""

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from patclass.cli.options import announce_default, config_option, settings_options
from patclass.service.settings import ServiceSettings

if TYPE_CHECKING:
    from patclass.service.keys import Key, KeyFile


@click.command()
@click.option(
    "--model",
    "-m",
    "models",
    multiple=True,
    metavar="[NAME=]FOLDER",
    help="Bundle that answers: a folder, or 'shipped'. It can be repeated with a name each; the "
    "first answers requests that name no model.  [default: PATCLASS_MODEL, else shipped]",
)
@config_option
@settings_options(ServiceSettings)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where to compute bundles that were not exported.",
)
def serve(models: tuple[str, ...], config: Path | None, device: str, **flags: Any) -> int:
    """Serve predictions over HTTP until Ctrl-C or SIGTERM.

    POST /predict {"text": "..."} classifies one text, POST /v1/classify many; /docs documents all
    requests. SIGHUP, or POST /v1/models/reload, loads the bundles again, verifies them, and
    replaces the old ones between two requests. Export a bundle first: it answers several times as
    fast.

    On loopback every caller is admitted. Any other --host needs API keys, or --insecure. Settings
    come from the table [serve] of a TOML file, from PATCLASS_SERVE_<NAME> environment variables
    and from flags; later wins.

    \b
        patclass export final_model -o final-int8
        patclass serve --model final-int8
        patclass keys create "search team" --keys keys.json
        patclass serve --model cpc=final-int8 --model mine=other --host 0.0.0.0 --keys keys.json
        patclass serve --config serve.toml
    """
    # Before numpy is imported: its threads would spin on the cores that the engine uses.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from patclass.service.app import serve as run
    from patclass.service.keys import VARIABLE
    from patclass.service.models import Models, parse_places

    settings = ServiceSettings.load(flags, config)
    if settings.open and not settings.insecure and os.environ.get(VARIABLE):
        settings = settings.model_copy(update={"keys": Path(os.environ[VARIABLE])})
    if not models:
        announce_default()
    run(settings, Models(parse_places(models), device))
    return 0


_keys_option = click.option(
    "--keys",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="File of API keys.  [default: PATCLASS_KEYS, else patclass-keys.json]",
)


@click.group()
def keys() -> None:
    """Create, list and revoke the API keys of the HTTP service.

    The file stores only hashes of the keys. A running service applies every change at once.

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
    help="What the key permits: to use the service, or also to administrate it.",
)
@_keys_option
def create(name: str, role: str, file: Path | None) -> int:
    """Create a key for NAME, the person or system that will use it, and print it.

    Only the key goes to standard output. It cannot be shown again: if it is lost, revoke it and
    create another. A name can have several keys.

    \b
        patclass keys create "search team"
        patclass keys create operations --role admin > operations.key
    """
    from patclass.service.keys import Role

    store = _key_file(file)
    click.echo(store.create(name, Role(role)))
    click.echo(f"note: the key cannot be shown again; {store.path} stores only its hash", err=True)
    return 0


@keys.command("list")
@_keys_option
def list_keys(file: Path | None) -> int:
    """List all keys: id, role, time of creation (UTC), name.

    \b
        patclass keys list
        patclass keys list --keys /etc/patclass/keys.json
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
@_keys_option
def revoke(id: str, file: Path | None) -> int:
    """Revoke the key of this ID; the service refuses it from now on.

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
@click.option(
    "--allowed-hosts",
    "names",
    multiple=True,
    metavar="NAME",
    help="Host name under which a proxy offers the page; '*.example.com' stands for all below it. "
    "It can be repeated.  [default: on loopback no other name, on another --host any]",
)
@click.option(
    "--no-categories",
    is_flag=True,
    help="Do not offer 'My categories', where visitors train models on this machine; for a page "
    "that the public can reach.  [default: PATCLASS_UI_CATEGORIES]",
)
def ui(api: str | None, host: str, port: int, names: tuple[str, ...], no_categories: bool) -> int:
    """Run the web page until Ctrl-C.

    The page uses a running service ('patclass serve'), on this machine or another. If that needs an
    API key, set PATCLASS_API_KEY for all users of the page, or let each user enter one. The page
    itself has no access control: off loopback, put a proxy before it.

    \b
        patclass serve &
        patclass ui
        patclass ui --api https://patents.example
        patclass ui --allowed-hosts page.patents.example --no-categories
    """
    import streamlit as st

    from patclass.ui.categories import VARIABLE
    from patclass.ui.client import ADDRESS_VARIABLE
    from patclass.ui.server import LOOPBACK_NAMES, MIDDLEWARE, SCRIPT

    if api is not None:
        os.environ[ADDRESS_VARIABLE] = api
    if no_categories:
        os.environ[VARIABLE] = "0"
    settings = {
        "server.address": host,
        "server.port": port,
        "server.allowedHosts": [*LOOPBACK_NAMES, *names] if names else [],
        "server.headless": True,
        "server.maxUploadSize": 50,
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": False,
        # By default some sites of Streamlit may steer a page by messages.
        "client.allowedOrigins": [],
        "client.showErrorDetails": "none",
        "client.toolbarMode": "minimal",
        # Streamlit's own message may need the external address, for which it asks another host.
        "logger.hideWelcomeMessage": True,
        "theme.light.primaryColor": "#0072B2",
        "theme.dark.primaryColor": "#1F83C4",
    }
    click.echo(f"http://{f'[{host}]' if ':' in host else host}:{port}", err=True)
    with suppress(KeyboardInterrupt):  # the signal that ended it, which the server raises again
        st.App(SCRIPT, middleware=MIDDLEWARE).run(config=settings)
    return 0
