"""How good the shipped model is, on all shared files, beside what it should reach.

    python scripts/bench_shipped/run.py [--only PART ...] [--quick] [-o figures.json]

A part whose files are not there is left out, with the reason. Nothing is kept between runs. With
--quick, test files are cut to 400 rows and baselines are fitted on fewer; the figures are rough.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from few_shot import few_shot
from figures import Figure, table
from landscape import landscape
from patents import claims, languages, main_codes, multilabel, of_2026, views
from shared import Bench, MissingError

from patclass.core.files import atomic_write, check_writable

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

PARTS: Mapping[str, Callable[[Bench], Iterator[Figure]]] = {
    "test": main_codes,
    "2026": of_2026,
    "claims": claims,
    "multilabel": multilabel,
    "languages": languages,
    "views": views,
    "landscape": landscape,
    "few-shot": few_shot,
}


def main() -> None:
    """Print a table for each part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="shipped", help="a bundle's folder")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the shared patents")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to measure")
    parser.add_argument("--quick", action="store_true", help="fewer rows, draws and steps")
    parser.add_argument("-o", "--output", type=Path, help="also write the figures as JSON")
    args = parser.parse_args()
    if args.output is not None:
        check_writable(args.output)
    bench = Bench(args.model, args.data, args.quick)
    found = {part: measured(bench, part) for part in args.only}
    if args.output is not None:
        figures = {part: [figure.as_json() for figure in of] for part, of in found.items()}
        with atomic_write(args.output) as partial:
            partial.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if not any(found.values()):
        sys.exit("nothing could be measured")


def measured(bench: Bench, part: str) -> list[Figure]:
    """The figures of a part, printed; none if its files are not there."""
    measure = PARTS[part]
    print(f"\n## {part}\n\n{(measure.__doc__ or '').splitlines()[0]}\n")
    try:
        figures = list(measure(bench))
    except MissingError as reason:
        print(f"left out: {reason}", flush=True)
        return []
    print(table(figures), flush=True)
    return figures


if __name__ == "__main__":
    main()
