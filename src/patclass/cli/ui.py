"""``patclass ui``."""

import os
from pathlib import Path

import click


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

    from patclass.ui.api import ADDRESS_VARIABLE

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
