"""Two public gold standards for landscaping: whether a patent belongs to a subject, by its title.

swh/classification-gold-standard. Families stand on one side of the split, as an invention is
published several times. Ours is what ``patclass train --base shipped`` does with the titles; beside
it are the embeddings of the shipped model, frozen, with a regression.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from figures import Figure, estimated, f1_of_draws
from heads import answers, draw, numbered, tfidf
from ours import learnt
from shared import Bench

from patclass.core.progress import track
from patclass.core.types import FloatArray, Positions
from patclass.data.examples import split_off
from patclass.data.rows import read_rows

SUBJECTS = ("cannabinoid-edibles", "quantum-qubit-generation")
TEST_SHARE = 0.3

# Examples of each kind, one of a family; None for all of the training side.
SIZES = (5, 15, 50, None)
DRAWS, QUICK_DRAWS = 5, 2
QUICK_TITLES = 3000
ABOVE_TFIDF = 0.03
OURS = "patclass"


@dataclass(frozen=True)
class Titles:
    """Titles, whether each is of the subject (1) or not (0), and the family of each, by number."""

    titles: list[str]
    labels: Positions
    families: Positions

    @classmethod
    def read(cls, path: Path) -> "Titles":
        """Those of a gold standard."""
        rows = [row.fields for row in read_rows(path)]
        labels = np.array([int(row["Class"] == "positive") for row in rows])
        families = numbered([str(row["DocDB Family ID"]) for row in rows])
        return cls([str(row["Title"]) for row in rows], labels, families)

    def of(self, places: Positions) -> "Titles":
        """Some of them."""
        titles = [self.titles[place] for place in places.tolist()]
        return Titles(titles, self.labels[places], self.families[places])

    def split(self) -> tuple[Positions, Positions]:
        """Rows to learn from and to test on, without a family on both sides."""
        keys = [str(family) for family in self.families.tolist()]
        firsts = np.unique(self.families, return_index=True)[1]
        strata = self.labels[firsts].tolist()
        _, held_out = split_off(strata, [keys[place] for place in firsts], TEST_SHARE, 0)
        unseen = np.isin(self.families, self.families[firsts[held_out]])
        return np.flatnonzero(~unseen), np.flatnonzero(unseen)


def landscape(bench: Bench) -> Iterator[Figure]:
    """Subjects by titles alone, with few and many examples: F1, beside TF-IDF."""
    for subject in SUBJECTS:
        found = Titles.read(bench.path(f"landscape/{subject}.tsv"))
        places = bench.some(range(len(found.titles)), QUICK_TITLES)
        found = found.of(np.array(places))
        embeddings = bench.embed(found.titles, f"embedding {subject}")
        for size in SIZES:
            yield from _measured(bench, subject, found, embeddings, size)


def _measured(
    bench: Bench, subject: str, found: Titles, embeddings: FloatArray, size: int | None
) -> Iterator[Figure]:
    """F1 of each method on the same examples."""
    seen, unseen = found.split()
    tested = found.of(unseen)
    draws = 1 if size is None else QUICK_DRAWS if bench.quick else DRAWS
    answered: dict[str, list[Positions]] = {}
    for seed in track(range(draws), f"{subject}, {size or 'all'} examples", unit="draw"):
        drawn = seen if size is None else drawn_from(found, seen, size, seed)
        given = found.of(drawn)
        labels, families = given.labels, given.families
        words = tfidf(given.titles, tested.titles)
        found_by = {
            "TF-IDF + regression": answers(words[0], labels, families, words[1]),
            "embeddings + regression": answers(
                embeddings[drawn], labels, families, embeddings[unseen]
            ),
            OURS: learnt(bench.model, given.titles, labels, families, tested.titles),
        }
        for method, y_pred in found_by.items():
            answered.setdefault(method, []).append(y_pred)
    truth, groups = tested.labels == 1, numbered(tested.families.tolist())
    bound = None
    for method, rows in answered.items():
        figure = f1_of_draws(truth, np.stack(rows) == 1, groups)
        bound = figure.value + ABOVE_TFIDF if bound is None else bound
        name = f"{subject}, {size or 'all'} examples: {method}, F1"
        yield estimated(name, figure, len(unseen), bound if method == OURS else None)


def drawn_from(found: Titles, seen: Positions, size: int, seed: int) -> Positions:
    """As many rows of each kind, no two of a family."""
    generator = np.random.default_rng(seed)
    mixed = generator.permutation(seen)
    firsts = mixed[np.unique(found.families[mixed], return_index=True)[1]]
    return firsts[draw(found.labels[firsts], size, generator)]
