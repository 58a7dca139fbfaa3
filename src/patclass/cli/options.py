"""Options shared by commands; those of training come from the settings themselves."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from patclass.core.config import Settings
from patclass.core.errors import PatclassError

if TYPE_CHECKING:
    from patclass.bundle import Bundle

Command = TypeVar("Command", bound=Callable[..., Any])

model_option = click.option(
    "--model",
    "-m",
    metavar="FOLDER",
    help="Bundle that answers: a folder, or 'shipped' for the one that is part of patclass.  "
    "[default: PATCLASS_MODEL, else shipped]",
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
    help="SQLite file of predictions, feedback and reviews.  [default: PATCLASS_DATABASE_URL, else "
    "patclass.db]",
)

# The candidate failed the gate.
EXIT_REFUSED = 1

registry_option = click.option(
    "--models",
    "registry",
    type=click.Path(path_type=Path),
    default=Path("models"),
    show_default=True,
    metavar="FOLDER",
    help="Registry: the folder of all versions of a model.",
)

data_option = click.option(
    "--data",
    metavar="TEXT",
    help="Path of the champion's training data, if it was moved.  [default: the path it was "
    "trained from]",
)

bundle_argument = click.argument("bundle", required=False)


def output_option(
    help_text: str, required: bool = True, default: Path | None = None
) -> Callable[[Command], Command]:
    """``-o``, by which every command that writes a file takes its path."""
    # A default of None that is passed on would count as a given one.
    more: dict[str, Any] = {} if default is None else {"default": default}
    return click.option(
        "--output",
        "-o",
        type=click.Path(path_type=Path),
        metavar="PATH",
        required=required and default is None,
        show_default=True,
        help=help_text,
        **more,
    )


def open_bundle(name: str | None) -> "Bundle":
    """The bundle of this name; of the default one, standard error shows which it is.

    :raises BundleError: if it is incomplete or altered.
    """
    from patclass.bundle import read_bundle
    from patclass.bundle.registry import locate

    bundle = read_bundle(locate(name))
    if name is None:
        _announce(bundle.folder, bundle.fingerprint)
    return bundle


def announce_default() -> None:
    """Show on standard error which bundle answers where none was named."""
    from patclass.bundle.description import LAYOUT
    from patclass.bundle.manifest import fingerprint_of, manifest_sha256
    from patclass.bundle.registry import locate

    folder = locate()
    if (folder / LAYOUT.manifest).is_file():  # whoever loads the bundle refuses it otherwise
        _announce(folder, fingerprint_of(manifest_sha256(folder)))


def _announce(folder: Path, version: str) -> None:
    from patclass.bundle.registry import display_name

    click.echo(f"model: {display_name(folder)} (version {version})", err=True)


def print_error(problem: PatclassError) -> None:
    """One line on standard error, in which settings are flags."""
    click.echo("error: " + " ".join(problem.message(flag_of).split()), err=True)


device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where to compute.",
)

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Print text, or JSON.",
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
    help="Number of labels to list, the most probable first.",
)


def answer_options(command: Command) -> Command:
    """Give a command the flags of a prediction: level, threshold, coverage, explanations."""
    for option in reversed(_ANSWER_OPTIONS):
        command = option(command)
    return command


_ANSWER_OPTIONS = (
    click.option(
        "--level",
        default="auto",
        show_default=True,
        help="Level of the answer (section, class, subclass, main_group, subgroup), or auto: the "
        "deepest level whose confidence reaches the threshold.",
    ),
    top_option,
    click.option(
        "--threshold",
        type=float,
        help="Least confidence of a sure answer, from 0 to 1.  [default: the model's own, at which "
        "90 % of the answers on held-out patents are correct]",
    ),
    click.option(
        "--coverage",
        type=float,
        help="Also list the label set that contains the correct label with this probability, such "
        "as 0.9 (conformal prediction).",
    ),
    click.option(
        "--neighbours",
        type=click.IntRange(0, 100),
        default=0,
        show_default=True,
        help="Also list this many similar patents of the training data, with their codes.",
    ),
    click.option(
        "--explain",
        is_flag=True,
        help="Also list the passages of the text, by how much each contributes to the answer.",
    ),
    click.option(
        "--all-codes",
        is_flag=True,
        help="Also list all codes of the patent, the main and the additional ones, each with a "
        "probability of its own.",
    ),
    click.option(
        "--precision",
        type=float,
        help="With --all-codes: list codes of which this share is right, such as 0.8.  [default: "
        "where F1, the mean of precision and recall, is largest]",
    ),
    click.option(
        "--recall",
        type=float,
        help="With --all-codes: list so many that this share of the true ones is among them.",
    ),
)


def settings_options(
    settings: type[Settings],
    *names: str,
    defaults: Mapping[str, Any] | None = None,
    helps: Mapping[str, str] | None = None,
) -> Callable[[Command], Command]:
    """Give a command one flag for each named setting (all of them without names).

    Their values reach the command as text, and ``settings.load`` checks them.

    :param defaults: those to show where the command has others than the settings, by name.
    :param helps: likewise what they mean.
    """
    fields = settings.fields()

    def decorate(command: Command) -> Command:
        for name in reversed(names or tuple(fields)):
            info = fields[name][1]
            default = (defaults or {}).get(name, info.default)
            meaning = (helps or {}).get(name, info.description)
            kind = _kind(info, f"{meaning}{_shown(default)}")
            command = click.option(*_flag(name, info), **kind)(command)
        return command

    return decorate


def flag_of(setting: str) -> str:
    """The flag of a setting: ``--max-tokens`` of ``max_tokens``, ``-k`` of ``k``."""
    return "-k" if setting == "k" else f"--{setting.replace('_', '-')}"


def _flag(name: str, info: FieldInfo) -> tuple[str, ...]:
    dashed = flag_of(name)
    short = ("-o",) if name == "output" else ()
    return (f"{dashed}/--no-{dashed[2:]}" if info.annotation is bool else dashed, *short, name)


def _shown(default: object) -> str:
    return "" if default in (None, ()) else f"  [default: {_text(default)}]"


def _kind(info: FieldInfo, help_text: str) -> dict[str, Any]:
    """Help, and a metavar."""
    kind: dict[str, Any] = {"help": help_text, "default": None}
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
