"""``patclass serve``."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def _limits(command: Command) -> Command:
    """One flag for each setting of the service."""
    from patclass.service.settings import ServiceSettings

    for name, info in reversed(ServiceSettings.model_fields.items()):
        dashed = f"--{name.replace('_', '-')}"
        help_text = info.description or ""
        if info.annotation is bool:
            command = click.option(dashed, name, is_flag=True, help=help_text)(command)
            continue
        if info.default not in (None, ()):
            help_text += (
                f"  [default: {info.default:,}]"
                if name.startswith("max")
                else (f"  [default: {info.default}]")
            )
        many = name == "cors"
        kind: Any = Path if name in ("keys", "shadow", "store") else None
        option = click.option(dashed, name, default=None, type=kind, multiple=many, help=help_text)
        command = option(command)
    return command


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
@_limits
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where bundles that were not exported are computed.",
)
def serve(models: tuple[str, ...], device: str, **flags: Any) -> int:
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
    from pydantic import ValidationError

    from patclass.errors import ConfigError
    from patclass.service.keys import VARIABLE
    from patclass.service.models import Models, parse_places
    from patclass.service.server import serve as run
    from patclass.service.settings import ServiceSettings

    given = {name: value for name, value in flags.items() if value not in (None, ())}
    if os.environ.get(VARIABLE) and not flags["insecure"]:
        given.setdefault("keys", Path(os.environ[VARIABLE]))
    try:
        settings = ServiceSettings.model_validate(given)
    except ValidationError as problem:
        first = problem.errors()[0]
        flag = str(first["loc"][0]).replace("_", "-")
        raise ConfigError(f"--{flag} {first['input']}: {first['msg'].lower()}.") from problem
    run(settings, Models(parse_places(models), device))
    return 0
