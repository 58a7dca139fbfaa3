"""Compare how long documents are read: accuracy and seconds a document.

    python scripts/bench_policies.py [--model FOLDER] [--rows N]

Rows of the shared test split that have a description; text is title, abstract and description.
The first line reads title and abstract only. One run, the same rows and model for all.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

from patclass.bundle import read_bundle
from patclass.bundle.registry import locate
from patclass.core.settings import DataSettings
from patclass.data.corpus import load_corpus
from patclass.data.examples import Example
from patclass.data.rows import read_rows
from patclass.evaluation.metrics import evaluate_levels
from patclass.model.tokenizer import TRUNCATIONS
from patclass.predictor.pipeline import run_with_progress

PATENTS = Path(__file__).resolve().parents[1] / "build" / "patents"  # made by make
SHORT, LONG = "title+abstract", "title+abstract+description"


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model")
    parser.add_argument("--rows", type=int, default=10_000)
    args = parser.parse_args()
    if not PATENTS.is_dir():
        raise SystemExit(f"this benchmark needs the shared patents in {PATENTS}")
    bundle = read_bundle(locate(args.model))
    pipeline = bundle.load_pipeline()
    described = {
        row.id for row in read_rows(PATENTS / "patents-test.parquet") if row.fields["description"]
    }

    def rows_of(view: str) -> list[Example]:
        data = DataSettings(data=str(PATENTS), labels="cpc", text=view)
        rows = load_corpus(data, bundle.tree)["test"]
        return sorted((r for r in rows if r.id in described), key=lambda r: r.id)[: args.rows]

    runs = [("head", SHORT), *((truncation, LONG) for truncation in TRUNCATIONS)]
    print(f"| text | policy | rows | {' | '.join(bundle.tree.levels)} | read | ms a document |")
    print("|---" * (5 + len(bundle.tree.levels)) + "|")
    for truncation, view in runs:
        rows = rows_of(view)
        changed = replace(pipeline, truncation=truncation)
        start = time.perf_counter()
        outputs = run_with_progress(changed, [row.text for row in rows], f"{truncation}, {view}")
        cost = (time.perf_counter() - start) / len(rows) * 1000
        found = evaluate_levels(rows, outputs.leaves, bundle.tree)
        shares = " | ".join(f"{found[level].accuracy:.1%}" for level in bundle.tree.levels)
        read = sum(encoding.share for encoding in outputs.encodings) / len(rows)
        print(
            f"| {view} | {truncation} | {len(rows)} | {shares} | {read:.0%} | {cost:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
