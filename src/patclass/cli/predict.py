"""``patclass predict``."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from patclass.cli.options import model_option, top_option


@click.command()
@click.argument("text", required=False)
@top_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@model_option
def predict(text: str | None, k: int, as_json: bool, model: Path) -> int:
    """Classify one patent's TEXT, or what comes on standard input.

    \b
        patclass predict "A drill bit with cutting inserts ..." -k 3
        patclass predict --json < abstract.txt
    """
    from patclass.data.views import MAX_CHARS
    from patclass.errors import DataError
    from patclass.inference import load

    if text is None:
        if sys.stdin.isatty():
            raise click.UsageError("no TEXT: give it as an argument or on standard input.")
        # Characters take at most four bytes; more than that is over the limit anyway.
        raw = sys.stdin.buffer.read(4 * MAX_CHARS + 4)
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as problem:
            if len(raw) <= 4 * MAX_CHARS:
                raise DataError(f"standard input is not UTF-8: {problem}") from problem
            text = raw.decode("utf-8", errors="ignore")
    prediction = load(model).rank([text], k)[0]
    if as_json:
        click.echo(json.dumps(asdict(prediction), ensure_ascii=False))
        return 0
    width = max(len(candidate.label) for candidate in prediction.top)
    for candidate in prediction.top:
        name = "" if candidate.name == candidate.label else f"  {candidate.name}"
        click.echo(f"{candidate.confidence:6.1%}  {candidate.label:{width}}{name}")
    return 0
