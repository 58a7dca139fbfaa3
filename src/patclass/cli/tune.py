"""``patclass tune``."""

from pathlib import Path
from typing import Any

import click

from patclass.cli.options import config_option, settings_options
from patclass.cli.train import EXIT_INTERRUPTED
from patclass.core.settings import TrainSettings

FOLDER = "tuned"
_LINES = 10

HELPS = {
    "output": "Folder of the search: trials.csv, trials.png, best.toml.",
    "max_tokens": "The most tokens of a text that a trial reads; others read a half or a quarter.",
}


@click.command("tune")
@config_option
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="No epoch begins after so many minutes.",
)
@click.option("--resume", is_flag=True, help="Go on with the search in the output folder.")
@settings_options(TrainSettings, defaults={"output": FOLDER}, helps=HELPS)
def tune(config: Path | None, minutes: float, resume: bool, **flags: Any) -> int:
    """Choose the settings of 'patclass train' by trials, within a time.

    Learning rate, rank, adapted layers and modules, and the length of the texts are varied; all
    other settings are those of 'patclass train'. Trials that are worse than others after as many
    epochs are ended (successive halving). Scores are those of validation rows; test rows are not
    looked at.

    \b
    An hour on 3,000 rows, another one (several at once share the search, also from other
    machines that see the folder), then a run with the settings that were found:
        patclass tune --data patents.csv --labels class --train-rows 3000 --minutes 60
        patclass tune --data patents.csv --labels class --train-rows 3000 --minutes 60 --resume
        patclass train --config tuned/best.toml --data patents.csv --labels class
    """
    from patclass.training.tune import BEST, PICTURE, TABLE
    from patclass.training.tune import tune as run

    settings = TrainSettings.load(flags, config, defaults={"output": FOLDER})
    try:
        found = run(settings, minutes, resume, click.echo)
    except KeyboardInterrupt:
        click.echo("interrupted: go on with --resume", err=True)
        return EXIT_INTERRUPTED
    folder = settings.output.output
    click.echo("\nbest trials by validation " + settings.fit.best_by.replace("_", " "))
    for each in found.trials[:_LINES]:
        click.echo(f"  {each.score:.4f}  {each.minutes:5.1f} minutes  {each.values}{each.ended}")
    if found.importance:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in found.importance.items())
        click.echo(f"of the differences, explained by: {shares}")
    click.echo(f"{len(found.trials)} trials in {folder / TABLE}, drawn in {folder / PICTURE}")
    click.echo(f"train with the best settings: patclass train --config {folder / BEST}")
    return 0
