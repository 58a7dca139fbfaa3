"""Options shared by commands; those of training come from the settings themselves."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from patclass.core.config import Settings

Command = TypeVar("Command", bound=Callable[..., Any])

model_option = click.option(
    "--model",
    "-m",
    metavar="FOLDER",
    help="The bundle that answers, or 'shipped' for the one that is part of patclass.  "
    "[default: PATCLASS_MODEL, else final_model, else shipped]",
)

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TOML file of settings; environment variables and flags override it.",
)

store_option = click.option(
    "--store",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The store as a SQLite file.  [default: PATCLASS_DATABASE_URL, else patclass.db]",
)

# The gate's, as that of a model that is not worth using.
EXIT_REFUSED = 1

registry_option = click.option(
    "--models",
    "registry",
    type=click.Path(path_type=Path),
    default=Path("models"),
    show_default=True,
    metavar="FOLDER",
    help="The folder of all versions.",
)

data_option = click.option(
    "--data",
    metavar="TEXT",
    help="Where the data of the champion is now.  [default: where it was]",
)

bundle_argument = click.argument("bundle", required=False)

device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where to compute.",
)

split_option = click.option(
    "--split",
    type=click.Choice(["validation", "test"]),
    default="test",
    show_default=True,
    help="Rows to measure on.",
)

top_option = click.option(
    "-k",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help="How many labels to name, the most probable first.",
)


def answer_options(command: Command) -> Command:
    """Give a command the flags that say what is asked of a classifier."""
    for option in reversed(_ANSWER_OPTIONS):
        command = option(command)
    return command


_ANSWER_OPTIONS = (
    click.option(
        "--level",
        default="auto",
        show_default=True,
        help="Level to answer at (section, class, subclass), or auto: the deepest at which the "
        "answer is sure.",
    ),
    top_option,
    click.option(
        "--threshold",
        type=float,
        help="Confidence from which on an answer is sure.  [default: the model's own, right nine "
        "times in ten on held-out patents]",
    ),
    click.option(
        "--set",
        "coverage",
        type=float,
        help="Also name the set of labels that holds the truth this often, e.g. 0.9.",
    ),
    click.option(
        "--neighbours",
        type=click.IntRange(0, 100),
        default=0,
        show_default=True,
        help="Also name this many of the nearest known patents.",
    ),
    click.option(
        "--explain", is_flag=True, help="Also say what each passage of the text contributes."
    ),
)


def settings_options(
    settings: type[Settings], *names: str, defaults: Mapping[str, Any] | None = None
) -> Callable[[Command], Command]:
    """Give a command one flag for each named setting (all of them without names).

    Their values reach the command as text, and ``settings.load`` checks them.
    """
    fields = settings.fields()

    def decorate(command: Command) -> Command:
        for name in reversed(names or tuple(fields)):
            info = fields[name][1]
            default = (defaults or {}).get(name, info.default)
            command = click.option(*_flag(name, info), **_kind(info, default))(command)
        return command

    return decorate


def flag_of(setting: str) -> str:
    """The flag of a setting: ``--max-tokens`` of ``max_tokens``, ``-k`` of ``k``."""
    return "-k" if setting == "k" else f"--{setting.replace('_', '-')}"


def _flag(name: str, info: FieldInfo) -> tuple[str, ...]:
    dashed = flag_of(name)
    return (f"{dashed}/--no-{dashed[2:]}" if info.annotation is bool else dashed, name)


def _kind(info: FieldInfo, default: object) -> dict[str, Any]:
    """Help with the default, and a metavar."""
    shown = "" if default in (None, ()) else f"  [default: {_text(default)}]"
    kind: dict[str, Any] = {"help": f"{info.description}{shown}", "default": None}
    if info.annotation is bool:
        return kind
    return kind | {
        "metavar": _metavar(info.annotation),
        "multiple": get_origin(info.annotation) is tuple,
    }


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _metavar(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return "|".join(get_args(annotation))
    kinds = set(get_args(annotation)) or {annotation}
    return "NUMBER" if kinds & {int, float} else "PATH" if Path in kinds else "TEXT"
