"""Few examples a label: ten subclasses of one class.

Examples are drawn from the training files; all rows of the test and validation files are tested
on. The shipped encoder has learnt the codes of training patents, the plain base has not. Ours is
what ``patclass train --base shipped`` does, LoRA among its methods: cross-validation chooses one.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from figures import Figure, accuracy_of_draws, estimated
from heads import Features, answers, draw, tfidf
from ours import learnt
from setfit import ITERATIONS, contrast
from shared import Bench, unit

from patclass.bundle.weights import load_weights
from patclass.core.progress import track
from patclass.core.types import FloatArray, Positions
from patclass.cpc.symbols import Symbol
from patclass.engines.torch import TorchEngine
from patclass.model.base import resolve_base
from patclass.model.device import apply_compute, choose_compute
from patclass.model.network import Parts, PatentClassifier, load_backbone
from patclass.model.tokenizer import TextTokenizer

CLASS, LABELS = "A61", 10
SEEN = ("patents-train.parquet", "patents-more-train.parquet")
UNSEEN = ("patents-test.parquet", "patents-validation.parquet")

SIZES = (8, 16)
DRAWS = 5
MAX_TOKENS = 224
BASES = ("minilm", "shipped")

# With --quick there is one draw of eight, with a quarter of the pairs, of the heads of texts.
QUICK_ITERATIONS, QUICK_TOKENS = 5, 64

Coded = list[tuple[str, str]]


@dataclass(frozen=True)
class Task:
    """Texts to draw from and to test on, with the positions of their labels."""

    texts: list[str]
    labels: Positions
    unseen: list[str]
    y_true: Positions

    @classmethod
    def of(cls, seen: Coded, unseen: Coded, labels: int = LABELS) -> "Task":
        """The labels most frequent among the texts to draw from; each text comes with its label."""
        counts = Counter(code for _, code in seen)
        place = {code: number for number, (code, _) in enumerate(counts.most_common(labels))}
        sides = [[row for row in rows if row[1] in place] for rows in (seen, unseen)]
        texts, others = ([text for text, _ in side] for side in sides)
        y_seen, y_unseen = (np.array([place[code] for _, code in side]) for side in sides)
        return cls(texts, y_seen, others, y_unseen)


def few_shot(bench: Bench) -> Iterator[Figure]:
    """Ten subclasses of one class from few examples: ours, frozen embeddings, SetFit and TF-IDF."""
    task = Task.of(_coded(bench, SEEN), _coded(bench, UNSEEN))
    sizes, draws = (SIZES[:1], 1) if bench.quick else (SIZES, DRAWS)
    for size in sizes:
        correct: dict[str, list[Positions]] = {}
        for seed in track(range(draws), f"{size} examples a label", unit="draw"):
            drawn = draw(task.labels, size, np.random.default_rng(seed))
            for method, y_pred in _answers(bench, task, drawn, seed):
                correct.setdefault(method, []).append(y_pred == task.y_true)
        for method, rows in correct.items():
            name = f"{size} examples a label: {method}, accuracy"
            yield estimated(name, accuracy_of_draws(np.stack(rows)), len(task.y_true))


def _coded(bench: Bench, names: Sequence[str]) -> Coded:
    """Text and subclass of the patents whose main code is in the class."""
    found = []
    for row in (row for name in names for row in bench.all_rows(name)):
        symbol = Symbol.parse(row.fields["main_code"] or "")
        code = None if symbol is None else symbol.cut("subclass")
        if code is not None and code.startswith(CLASS):
            found.append((bench.text_of(row), code))
    return found


def _answers(
    bench: Bench, task: Task, drawn: Positions, seed: int
) -> Iterator[tuple[str, Positions]]:
    """Answers of each method for the test rows."""
    texts, labels = [task.texts[place] for place in drawn.tolist()], task.labels[drawn]

    def answered(features: tuple[Features, Features]) -> Positions:
        return answers(features[0], labels, np.arange(len(labels)), features[1])

    yield "TF-IDF + regression", answered(tfidf(texts, task.unseen))
    for base in BASES:
        encoder = Encoder.load(bench, base)
        yield f"{base}, frozen + regression", answered(encoder.embed(texts, task.unseen))
        if base != "shipped":
            continue
        iterations = QUICK_ITERATIONS if bench.quick else ITERATIONS
        contrast(encoder.model, encoder.tokenizer, texts, labels, iterations, seed)
        yield f"{base}, SetFit", answered(encoder.embed(texts, task.unseen))
    yield "patclass", learnt(bench.model, texts, labels, np.arange(len(labels)), task.unseen)


@dataclass(frozen=True)
class Encoder:
    """A model whose backbone may be trained, with its tokenizer."""

    model: PatentClassifier
    tokenizer: TextTokenizer

    @classmethod
    def load(cls, bench: Bench, base: str) -> "Encoder":
        """The plain base, or the encoder of the model that is measured."""
        tokens = QUICK_TOKENS if bench.quick else MAX_TOKENS
        if base == "shipped":
            bundle = bench.bundle
            model = load_weights(bundle.folder, bundle.description, bundle.tree.outputs)
            tokenizer = bundle.load_tokenizer()
            tokenizer.max_tokens = tokens
            return cls(model, tokenizer)
        compute = choose_compute("auto", "float32")
        apply_compute(compute)
        parts = Parts(resolve_base(base), compute)
        traits = parts.architecture
        backbone = load_backbone(parts)
        model = PatentClassifier(backbone, traits.pooling, traits.hidden_size, 1)
        folder = parts.base.folder
        return cls(model.to(compute.device).eval(), TextTokenizer.load(folder, tokens))

    def embed(self, texts: Sequence[str], unseen: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """Embeddings of length one, of both."""
        ids = self.tokenizer.token_ids([*texts, *unseen])
        embeddings = unit(TorchEngine(self.model, self.tokenizer).run(ids).embeddings)
        return embeddings[: len(texts)], embeddings[len(texts) :]
