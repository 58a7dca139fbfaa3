"""How many marked-up texts get the prediction of their plain twins, on the shared patents.

    python scripts/bench_markup.py        (two minutes)

Each kind of markup is put into the same test rows; the shipped model classifies both.
"""

import html
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from patclass.inference import load

TEXTS = 500
ROOT = Path(__file__).resolve().parents[1]


def paragraphs(text: str) -> str:
    parts = "".join(f'<p id="p-{n}">{s.strip()}.</p>' for n, s in enumerate(text.split(". ")))
    return f'<div class="abstract" lang="EN">{parts}</div>'


def entities(text: str) -> str:
    return html.escape(text).replace(" of ", "&#160;of&nbsp;")


def pdf_lines(text: str) -> str:
    """Lines of a PDF, with words divided at their ends."""
    lines = textwrap.wrap(text, 60, break_on_hyphens=False)
    divided = []
    for line in lines:
        head, _, word = line.rpartition(" ")
        cut = len(word) // 2
        whole = not word.isalpha() or not word.islower() or cut < 2
        divided.append(line + "\n" if whole else f"{head} {word[:cut]}-\n{word[cut:]} ")
    return "".join(divided)


MARKUP: dict[str, Callable[[str], str]] = {
    "paragraphs with ids": paragraphs,
    "entities": entities,
    "entities, twice": lambda text: html.escape(entities(text)),
    "emphasis and figure references": lambda text: text.replace(" a ", " <b>a</b> ").replace(
        " the ", ' <figref idref="f1">the</figref> '
    ),
    "soft hyphens": lambda text: text.replace("tion", "\u00adtion"),
    "zero-width spaces": lambda text: text.replace("-", "-\u200b"),
    "ligatures": lambda text: text.replace("fi", "\ufb01").replace("fl", "\ufb02"),
    "lines of a PDF": pdf_lines,
}


def main() -> None:
    path = ROOT.parent / "shared" / "data" / "patents-test.parquet"
    texts = pq.read_table(path, columns=["abstract"]).column("abstract").to_pylist()[:TEXTS]
    classifier = load("shipped")
    tree = classifier.tree

    def predictions(rows: list[str]) -> list[np.ndarray]:
        return [classifier.predict_proba(rows, level=level).argmax(axis=1) for level in tree.levels]

    plain = predictions(texts)
    print(f"| markup in {len(texts)} abstracts | changed | " + " | ".join(tree.levels) + " |")
    print("|---" * (2 + len(tree.levels)) + "|")
    for name, mark in MARKUP.items():
        marked = [mark(text) for text in texts]
        changed = [place for place, text in enumerate(texts) if marked[place] != text]
        found = predictions([marked[place] for place in changed])
        alike = [int((f == p[changed]).sum()) for f, p in zip(found, plain, strict=True)]
        print(f"| {name} | {len(changed)} | " + " | ".join(map(str, alike)) + " |")


if __name__ == "__main__":
    main()
