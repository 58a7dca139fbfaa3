"""What ``patclass train --base shipped`` makes of labelled texts, with all its defaults."""

import csv
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from patclass.core.settings import BaseModelSettings, DataSettings, OutputSettings, TrainSettings
from patclass.core.types import Positions
from patclass.inference import load
from patclass.training.run import train


def learnt(
    model: str,
    texts: Sequence[str],
    labels: Positions,
    families: Positions,
    unseen: Sequence[str],
) -> Positions:
    """Labels of unseen texts by a bundle that starts from ``model``.

    A text without words, which it refuses, gets the most frequent label.

    :param labels: numbers, shape (texts,).
    :param families: a number for each text; texts of a family stay together, shape (texts,).
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "examples.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("text", "label", "family"))
            for text, label, family in zip(texts, labels, families, strict=True):
                rows.writerow((text, f"category {label}", f"family {family}"))
        settings = TrainSettings(
            data=DataSettings(data=str(folder / "examples.csv")),
            base=BaseModelSettings(base=model),
            output=OutputSettings(output=folder / "bundle"),
        )
        train(settings, echo=lambda line: None)
        classifier = load(folder / "bundle")
        worded = [place for place, text in enumerate(unseen) if any(map(str.isalnum, text))]
        best = classifier.predict_proba([unseen[place] for place in worded]).argmax(axis=1)
    numbers = np.array([int(code.removeprefix("category ")) for code in classifier.classes_])
    answers = np.full(len(unseen), np.bincount(labels).argmax())
    answers[worded] = numbers[best]
    return answers
