"""Options shared by commands; those of training come from the settings themselves."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import click

from patclass.config import TrainSettings

Command = TypeVar("Command", bound=Callable[..., Any])

model_option = click.option(
    "--model",
    "-m",
    type=click.Path(path_type=Path),
    default=Path("final_model"),
    show_default=True,
    help="Folder of the bundle that answers.",
)

bundle_argument = click.argument(
    "bundle", type=click.Path(path_type=Path), default=Path("final_model"), required=False
)

device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where to compute.",
)

top_option = click.option(
    "-k",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help="How many labels to name, the most probable first.",
)


def settings_options(
    *names: str, defaults: Mapping[str, Any] | None = None
) -> Callable[[Command], Command]:
    """Give a command one flag for each named setting (all of them without names)."""
    fields = TrainSettings.fields()

    def decorate(command: Command) -> Command:
        for name in reversed(names or tuple(fields)):
            info = fields[name][1]
            default = (defaults or {}).get(name, info.default)
            option = click.option(*_flag(name, info), **_kind(info, default))
            command = option(command)
        return command

    return decorate


def _flag(name: str, info: Any) -> tuple[str, ...]:
    dashed = name.replace("_", "-")
    return (f"--{dashed}/--no-{dashed}" if info.annotation is bool else f"--{dashed}", name)


def _kind(info: Any, default: object) -> dict[str, Any]:
    """Help with the default, and a metavar; values are checked by the settings themselves."""
    shown = "" if default is None else f"  [default: {_text(default)}]"
    kind: dict[str, Any] = {"help": info.description + shown, "default": None}
    if info.annotation is not bool:
        kind |= {"metavar": _metavar(info.annotation)}
    return kind


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _metavar(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return "|".join(get_args(annotation))
    kinds = set(get_args(annotation)) or {annotation}
    return "NUMBER" if kinds & {int, float} else "FOLDER" if Path in kinds else "TEXT"
