"""``patclass train``."""

import json
from pathlib import Path
from typing import Any

import click

from patclass.cli.options import config_option, settings_options
from patclass.core.settings import TrainSettings

EXIT_WEAK = 1
EXIT_INTERRUPTED = 130


HELP = """Fine-tune a pretrained model on patents with LoRA, evaluate it, save a verified bundle.

Settings come from a TOML file, from PATCLASS_TRAIN_<NAME> environment variables and from
flags; later wins. The tables of the file are [data], [base], [lora], [fit], [answer], [few] and
[output]; docs/settings.md lists their keys. Checkpoints, learning curve and rejected rows are in
<output>.run/.

\b
The built-in sample, then your own patents with CPC symbols, then a few examples of categories of
your own (column label), then the hub:
    patclass train --data sample
    patclass train --data patents.csv --labels class --epochs 2
    patclass train --data mine.csv --base shipped
    patclass train --data ccdv/patent-classification:abstract --base llama-3.2-1b
    patclass train --config run.toml --epochs 2

Ctrl-C saves the best epoch so far as a bundle; --resume continues after any interruption. The
bundle answers where it is named: patclass predict --model final_model "..."
"""


def training_command(defaults: dict[str, Any]) -> click.Command:
    """``patclass train`` with other defaults than the built-in ones."""

    @click.command("train", help=HELP)
    @config_option
    @click.option("--resume", is_flag=True, help="Continue from the last checkpoint of this run.")
    @click.option("--restart", is_flag=True, help="Discard an unfinished run.")
    @settings_options(TrainSettings, defaults=defaults)
    def command(config: Path | None, resume: bool, restart: bool, **flags: Any) -> int:
        return run_training(flags, config, resume, restart, defaults)

    return command


def run_training(
    flags: dict[str, Any],
    config: Path | None,
    resume: bool,
    restart: bool,
    defaults: dict[str, Any],
) -> int:
    """Train with these settings; return the exit code."""
    from patclass.training.run import train as run

    if resume and restart:
        raise click.UsageError("--resume and --restart exclude each other.")
    settings = TrainSettings.load(flags, config, defaults=defaults)
    if resume:
        stored = _stored(settings.output.output)
        settings = TrainSettings.load(flags, config, defaults=defaults | stored)
    result = run(settings, resume, restart, click.echo)
    if result.bundle is None and result.fit.best_epoch is not None and not result.fit.interrupted:
        return 0  # another process of the run has saved it
    if result.bundle is None:
        way = "continue with --resume" if result.fit.checkpoint else "start again"
        click.echo(f"interrupted before the first epoch was finished; {way}", err=True)
        return EXIT_INTERRUPTED
    if result.report is None and result.few_shot is None:
        click.echo(
            f"interrupted: epoch {result.fit.best_epoch}, the best so far, is in {result.bundle}. "
            "Continue with --resume, or evaluate it with 'patclass evaluate'.",
            err=True,
        )
        return EXIT_INTERRUPTED
    click.echo(f"saved and verified in a fresh process: {result.bundle}")
    report, few = result.report, result.few_shot
    # Of few examples no figure, or no baseline, may be had; they are used all the same.
    passed = report is None or (report.passed if few is None else not report.failures)
    return 0 if passed or settings.output.allow_weak else EXIT_WEAK


def _stored(output: Path) -> dict[str, Any]:
    """The settings of the run to resume, so that its flags need not be repeated."""
    from patclass.core.errors import TrainingError
    from patclass.training.run import SETTINGS, work_folder

    path = work_folder(output) / SETTINGS
    try:
        groups = json.loads(path.read_text(encoding="utf-8"))
        return {name: value for group in groups.values() for name, value in group.items()}
    except (OSError, ValueError, AttributeError) as problem:
        raise TrainingError(
            f"nothing to resume: {path} cannot be read ({problem}). To begin a new "
            "run, omit --resume; else name the folder of the bundle with --output."
        ) from problem


train = training_command({})
