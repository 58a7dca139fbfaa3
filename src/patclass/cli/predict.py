"""``patclass predict``."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from patclass.cli.options import device_option, model_option, top_option


@click.command()
@click.argument("text", required=False)
@top_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@model_option
@device_option
def predict(text: str | None, k: int, as_json: bool, model: Path, device: str) -> int:
    """Classify one patent's TEXT, or what comes on standard input.

    \b
        patclass predict "A drill bit with cutting inserts ..." -k 3
        patclass predict --json < abstract.txt
    """
    from patclass.inference import load

    if text is None:
        text = _standard_input()
    prediction = load(model, device).rank([text], k)[0]
    if as_json:
        click.echo(json.dumps(asdict(prediction), ensure_ascii=False))
        return 0
    width = max(len(candidate.label) for candidate in prediction.top)
    for candidate in prediction.top:
        name = "" if candidate.name == candidate.label else f"  {candidate.name}"
        click.echo(f"{candidate.confidence:6.1%}  {candidate.label:{width}}{name}")
    return 0


def _standard_input() -> str:
    from patclass.data.views import MAX_CHARS
    from patclass.errors import DataError

    if sys.stdin.isatty():
        raise click.UsageError("no TEXT: give it as an argument or on standard input.")
    # A character takes up to four bytes, so anything longer is over the limit for certain.
    raw = sys.stdin.buffer.read(4 * MAX_CHARS + 1)
    if len(raw) > 4 * MAX_CHARS:
        raise DataError(
            f"standard input has more than {MAX_CHARS:,} characters, which is all that is "
            "accepted. Give the title and the abstract, or cut it."
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise DataError(f"standard input is not UTF-8: {problem}.") from problem
