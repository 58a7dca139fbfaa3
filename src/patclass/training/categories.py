"""Categories with few examples each, checked. Knows texts, labels and names, no model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from patclass.core.errors import DataError
from patclass.cpc.tree import LabelSet, LabelTree
from patclass.data.cleaning import clean
from patclass.data.columns import fold
from patclass.data.examples import SPLITS, Corpus, Example, Facts
from patclass.data.rows import open_table
from patclass.data.text import TextView, text_sha256

# The label of negative examples: patents that belong to none of the categories.
NONE = "none"
NONE_TITLE = "none of these"

# A longer label is a text that was taken for one.
MAX_LABEL_CHARS = 200

# Columns of a table of descriptions that may hold the label.
LABEL_COLUMNS = ("label", "category", "name", "code")

Examples = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Categories:
    """What is learnt: labels, their names, and examples of some or all of them.

    :param corpus: all examples are its training rows.
    :param names: a text for each label, in their order; empty for one that has none.
    """

    corpus: Corpus
    names: tuple[str, ...]

    @classmethod
    def of(
        cls,
        examples: Examples,
        descriptions: Mapping[str, str],
        groups: Sequence[str] | None,
        view: str,
    ) -> "Categories":
        """From texts with labels.

        :param view: the fields of a patent that such a text is made of.

        :raises DataError: if nothing can be learnt from them, saying why.
        """
        rows = [(clean(text), label.strip()) for text, label in examples]
        codes = sorted({label for _, label in rows} | set(descriptions))
        tree = LabelTree.flat(LabelSet.of_codes(codes))
        found = [
            Example(str(number), text, (codes.index(label),), (codes.index(label),))
            for number, (text, label) in enumerate(rows, 1)
        ]
        if groups is not None:
            found = [
                replace(row, facts=Facts.of({"family": group}))
                for row, group in zip(found, groups, strict=True)
            ]
        splits: dict[str, list[Example]] = {split: [] for split in SPLITS} | {"train": found}
        fields = TextView(tuple(view.split("+")))
        return cls.of_corpus(Corpus("examples", fields, tree, splits, ()), descriptions)

    @classmethod
    def of_corpus(cls, corpus: Corpus, descriptions: Mapping[str, str]) -> "Categories":
        """From the training rows of a corpus of one level.

        :raises DataError: if nothing can be learnt from them, saying why.
        """
        tree = corpus.tree
        negative = {code for code in tree.names if code.casefold() in (NONE, NONE_TITLE)}
        tree = replace(tree, names={**tree.names, **dict.fromkeys(negative, NONE_TITLE)})
        names = tuple(
            "" if label.code in negative else clean(descriptions.get(label.code, label.name))
            for label in tree.at(tree.finest)
        )
        task = cls(replace(corpus, tree=tree), names)
        task.check()
        return task

    @property
    def rows(self) -> list[Example]:
        """The examples."""
        return self.corpus["train"]

    @property
    def codes(self) -> list[str]:
        """The labels."""
        return self.corpus.tree.at(self.corpus.tree.finest).codes

    @cached_property
    def labels(self) -> list[int]:
        """The label of each example."""
        return [row.stratum for row in self.rows]

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """How many examples each label has."""
        return tuple(np.bincount(self.labels, minlength=len(self.names)).tolist())

    def check(self) -> None:
        """Refuse what nothing can be learnt from.

        :raises DataError: naming the labels or examples.
        """
        for code in self.codes:
            if len(code) > MAX_LABEL_CHARS:
                raise DataError(
                    f"the label '{code[:40]}…' has {len(code):,} characters, expected at most "
                    f"{MAX_LABEL_CHARS}; keep it short, and give the text as its description."
                )
        if empty := [row.id for row in self.rows if not row.text]:
            raise DataError(f"example {empty[0]} has no text; leave it out.")
        if len(self.codes) < 2:
            raise DataError(
                f"there is one category only, '{self.codes[0]}'; give another one, or negative "
                f"examples with the label '{NONE}'."
                if self.codes
                else "there are neither examples nor descriptions of categories."
            )
        self._check_texts()
        for code, name, count in zip(self.codes, self.names, self.counts, strict=True):
            if not name and not count:
                raise DataError(f"the label '{code}' has neither an example nor a description.")

    def _check_texts(self) -> None:
        """Refuse a text under two labels, which would be right and wrong at once."""
        texts = [text_sha256(row.text) for row in self.rows]
        under: dict[str, set[int]] = {}
        for text, label in zip(texts, self.labels, strict=True):
            under.setdefault(text, set()).add(label)
        for text, labels in under.items():
            if len(labels) == 1:
                continue
            first, second = sorted(labels)[:2]
            pair = f"'{self.codes[first]}' and '{self.codes[second]}'"
            own = [{t for t, y in zip(texts, self.labels, strict=True) if y == k} for k in labels]
            if all(each == own[0] for each in own):
                raise DataError(
                    f"the categories {pair} have the same examples; join them, or give each others."
                )
            ids = [row.id for row, each in zip(self.rows, texts, strict=True) if each == text]
            raise DataError(
                f"the examples {' and '.join(ids[:2])} are the same text, but their labels are "
                f"{pair}; keep it under one of them."
            )

    @property
    def notes(self) -> tuple[str, ...]:
        """What should be known of the examples, a line each."""
        found = []
        for count, what in ((0, "no example"), (1, "one example only")):
            codes = [code for code, n in zip(self.codes, self.counts, strict=True) if n == count]
            if codes:
                listed = ", ".join(codes[:10]) + (" …" if len(codes) > 10 else "")
                found.append(
                    f"{len(codes)} of {len(self.codes)} categories have {what}, so that nothing "
                    f"is known of how well they are recognised: {listed}"
                )
        return tuple(found)


def read_descriptions(path: Path) -> dict[str, str]:
    """Labels with a description each, from a table with the columns label and description.

    :raises DataError: if the file or a column is missing, or a label occurs twice.
    """
    table = open_table(path)
    by_name = {fold(column): column for column in table.columns}
    label = next((by_name[name] for name in LABEL_COLUMNS if name in by_name), None)
    if label is None or "description" not in by_name:
        raise DataError(
            f"{path} has the columns {', '.join(table.columns)}; expected label and description.",
            setting="descriptions",
        )
    found: dict[str, str] = {}
    for row in table.rows():
        code = clean(row.fields.get(label))
        if code in found:
            raise DataError(f"{path}: the label '{code[:60]}' occurs twice; describe it once.")
        if code:
            found[code] = clean(row.fields.get(by_name["description"]))
    return found
