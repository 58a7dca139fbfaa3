"""What can be said against a text before any model reads it. Knows characters only."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from patclass.bundle import Bundle, read_bundle
from patclass.bundle.golden import check_golden
from patclass.bundle.registry import locate
from patclass.core.errors import ConfigError, DataError
from patclass.core.types import FloatArray
from patclass.data.text import MAX_CHARS, SURROGATE, TextView, clean
from patclass.inference.explain import contributions
from patclass.inference.prediction import (
    AUTO,
    NOTEWORTHY,
    Options,
    PassageShare,
    Prediction,
    ScoredLabel,
    Signals,
    candidates,
    check_level,
    choose_level,
    path_to,
    thresholds_of,
)
from patclass.model.tokenizer import EncodedText
from patclass.predictor.neighbours import Neighbour
from patclass.predictor.pipeline import Answers

FEW_WORDS = 8

_WORD = re.compile(r"\w+")


def doubts_about(text: str) -> list[str]:
    """Reasons in words why an answer on this text may be a guess; none for ordinary text."""
    letters = [char for char in text[:20_000] if char.isalpha()]
    if not letters:
        return ["the text has no letters; the answer is a guess"]
    latin = sum(char.isascii() or "LATIN" in unicodedata.name(char, "") for char in letters)
    doubts = []
    if latin < len(letters) / 2:
        doubts.append("the text is mostly in another script than the model has learnt from")
    words = len(_WORD.findall(text[:20_000]))
    if words < FEW_WORDS and latin >= len(letters) / 2:
        count = "one word" if words == 1 else f"{words} words"
        doubts.append(f"the text has only {count}; an abstract would be surer")
    return doubts


Patent = str | Mapping[str, Any]
Advance = Callable[[int], object]

DEFAULTS = Options()

# How many known patents are asked whether they agree, and how few of them may.
K_NEIGHBOURS = 10
AGREEMENT = 0.2


def load(model: str | Path | None = None, device: str = "auto") -> "Classifier":
    """Load a bundle that answers.

    :param model: its folder, or ``shipped``; None for that of ``PATCLASS_MODEL``, else the
        shipped one.
    :raises BundleError: if it is incomplete, altered, or its base is not there.
    """
    return Classifier(read_bundle(locate(model)), device)


class Classifier:
    """Answers with scikit-learn's verbs; a patent is a text or a mapping of its fields."""

    def __init__(self, bundle: Bundle, device: str = "auto") -> None:
        self.bundle = bundle
        self.tree = bundle.tree
        self.view = TextView(tuple(bundle.description.text.view.split("+")))
        self._pipeline = bundle.load_pipeline(device)

    @property
    def classes_(self) -> list[str]:
        """Codes of the finest level, in the order of the columns of ``predict_proba``."""
        return self.tree.at(self.tree.finest).codes

    def text_of(self, patent: Patent) -> str:
        """The text that is read for a patent, before it is cut to what the model reads.

        :raises DataError: if there is no text, or far too much.
        """
        text = clean(patent) if isinstance(patent, str) else self.view.text_of_patent(patent)
        if not text:
            columns = "text, title, abstract, claims or description"
            raise DataError(f"no text: expected words in {columns}.")
        if len(text) > MAX_CHARS:
            raise DataError(
                f"the text has {len(text):,} characters; at most {MAX_CHARS:,} are accepted. "
                "Give the title and the abstract, or cut it."
            )
        if SURROGATE.search(text):
            raise DataError("the text is not valid Unicode: it holds half a surrogate pair.")
        return text

    def predict_proba(
        self,
        patents: Sequence[Patent],
        level: str | None = None,
        advance: Advance = lambda rows: None,
    ) -> FloatArray:
        """Probabilities of a level's labels, float32 of shape (patents, labels).

        :param level: the finest if None. Rows of a fine level add up to one less the share of
            codes that were too rare to learn.
        :raises DataError: if a patent has no usable text.
        :raises ConfigError: if there is no such level.
        """
        level = level or self.tree.finest
        check_level(self.tree, level)
        leaves = self._pipeline.run([self.text_of(patent) for patent in patents], advance).leaves
        return self.tree.sums(leaves, level)

    def predict(self, patents: Sequence[Patent], level: str | None = None) -> list[str]:
        """The most probable label of each patent at a level; the finest if None.

        :raises DataError: if a patent has no usable text.
        """
        best = self.predict_proba(patents, level).argmax(axis=1)
        labels = self.tree.at(level or self.tree.finest)
        return [labels[int(position)].code for position in best]

    def classify(
        self,
        patents: Sequence[Patent],
        options: Options = DEFAULTS,
        advance: Advance = lambda rows: None,
    ) -> list[Prediction]:
        """The answer for each patent, with all that speaks for and against it.

        :raises DataError: if a patent has no usable text.
        :raises ConfigError: if the options ask for what the bundle cannot give.
        """
        self.check(options)
        texts = [self.text_of(patent) for patent in patents]
        if not texts:
            return []
        return self.answer(texts, self.read(texts), [options] * len(texts), advance)

    def read(self, texts: Sequence[str]) -> list[EncodedText]:
        """The passages that would be read of texts as ``text_of`` gives them."""
        return self._pipeline.read(texts)

    def answer(
        self,
        texts: Sequence[str],
        encodings: list[EncodedText],
        options: Sequence[Options],
        advance: Advance = lambda rows: None,
    ) -> list[Prediction]:
        """The answer for each text that was read, by options of its own that were checked."""
        answers = self._pipeline.answer(texts, encodings, advance)
        most = max(K_NEIGHBOURS, *(asked.neighbours for asked in options))
        index = self.bundle.index
        near = [[]] * len(texts) if index is None else index.nearest(answers.embeddings, most)
        return [
            self._prediction(row, text, answers, near[row], options[row])
            for row, text in enumerate(texts)
        ]

    def verify(self) -> float:
        """Answer the bundle's golden texts; return the largest difference of a logit.

        :raises BundleError: if it does not answer as it did when it was saved.
        """
        return check_golden(self.bundle.golden, self._pipeline, self.bundle.folder)

    def check(self, options: Options) -> None:
        """Refuse options before any text is read.

        :raises ConfigError: naming what the bundle cannot give.
        """
        if options.level != AUTO:
            check_level(self.tree, options.level)
        thresholds_of(self.tree, self.bundle.calibration.thresholds, options.threshold)
        if options.neighbours and self.bundle.index is None:
            raise ConfigError(
                "this model keeps no known patents as evidence; train one with --index-rows."
            )
        if options.coverage is not None:
            self._check_coverage(options.level, options.coverage)

    def _check_coverage(self, level: str, coverage: float) -> None:
        """Refuse a coverage that no level asked for can have."""
        known = self.bundle.conformal
        wanted = [name for name in self.tree.levels if level in (AUTO, name) and name in known]
        if not wanted:
            which = f"the level {level}" if known else "any level"
            way = "ask for another level, or " if known else ""
            raise ConfigError(
                f"--set: this model was saved without held-out scores for {which}; {way}"
                "train it anew with more validation rows."
            )
        for name in wanted:
            known[name].bounds(len(self.tree.at(name)), coverage)

    def _prediction(
        self, row: int, text: str, answers: Answers, near: list[Neighbour], options: Options
    ) -> Prediction:
        tree, leaves = self.tree, answers.leaves[row : row + 1]
        sums = {level: tree.sums(leaves, level)[0] for level in tree.levels}
        thresholds = thresholds_of(tree, self.bundle.calibration.thresholds, options.threshold)
        start: tuple[str, ...] = ()
        if options.level != AUTO:
            code = tree.at(options.level)[int(sums[options.level].argmax())].code
            start = path_to(tree, options.level, code)
        best = self._along(tree.descend(sums, start), sums)
        confidences = {level: found.confidence for level, found in best.items()}
        level, sure = choose_level(confidences, options.level, thresholds)
        order = np.argsort(-sums[level], kind="stable")[: max(1, options.k)]
        answer = best[level]
        path = tuple(best[name] for name in tree.levels[: tree.levels.index(level) + 1])
        return Prediction(
            label=answer.label,
            name=answer.name,
            confidence=answer.confidence,
            level=level,
            sure=sure,
            path=path,
            levels=best,
            top=candidates(tree, level, sums[level], order),
            set=self._set(level, sums[level], options.coverage),
            tags=tuple(
                ScoredLabel(tag.code, tag.name, float(p))
                for tag, p in zip(tree.tags, answers.tags[row], strict=True)
            ),
            read=answers.encodings[row].share,
            passages=self._passages(row, text, answers, level, answer.label, options),
            neighbours=tuple(near[: options.neighbours]),
            warnings=(
                *self._warnings(row, text, answers, near, path, sure),
                *self._lacks_set(level, options.coverage),
            ),
            text=text,
            signals=self._signals(row, answers, near, path),
            alternatives=self._alternatives(sums) if options.alternatives else None,
        )

    def _alternatives(self, sums: Mapping[str, FloatArray]) -> dict[str, tuple[ScoredLabel, ...]]:
        found = {}
        for level, probabilities in sums.items():
            order = np.argsort(-probabilities, kind="stable")
            likely = order[probabilities[order] >= NOTEWORTHY]
            found[level] = candidates(self.tree, level, probabilities, likely)
        return found

    def _along(
        self, path: tuple[str, ...], sums: Mapping[str, FloatArray]
    ) -> dict[str, ScoredLabel]:
        """The labels of a path by level, with their probabilities."""
        found = {}
        for level, code in zip(self.tree.levels, path, strict=False):
            position = np.array([self.tree.at(level).index(code)])
            found[level] = candidates(self.tree, level, sums[level], position)[0]
        return found

    def _lacks_set(self, level: str, coverage: float | None) -> tuple[str, ...]:
        if coverage is None or level in self.bundle.conformal:
            return ()
        return (f"no label set: the model was saved without held-out scores for the {level}",)

    def _set(
        self, level: str, probabilities: FloatArray, coverage: float | None
    ) -> tuple[ScoredLabel, ...] | None:
        conformal = self.bundle.conformal.get(level)
        if coverage is None or conformal is None:
            return None
        inside = np.flatnonzero(conformal.sets(probabilities[None], coverage)[0])
        order = inside[np.argsort(-probabilities[inside], kind="stable")]
        return candidates(self.tree, level, probabilities, order)

    def _passages(
        self, row: int, text: str, answers: Answers, level: str, label: str, options: Options
    ) -> tuple[PassageShare, ...]:
        reading = answers.encodings[row]
        if options.explain:
            return contributions(self._pipeline, text, reading, answers.passages[row], level, label)
        return tuple(PassageShare(p.start, p.end, 0.0) for p in reading.passages)

    def _warnings(
        self,
        row: int,
        text: str,
        answers: Answers,
        near: list[Neighbour],
        path: tuple[ScoredLabel, ...],
        sure: bool,
    ) -> list[str]:
        found = doubts_about(text)
        index = self.bundle.index
        if index is not None and near and near[0].similarity < index.unlike:
            found.append("the text is unlike anything the model has learnt from")
        if not sure and len(path) == 1:
            found.append(f"not even the {self.tree.levels[0]} is sure: have it checked")
        agree, able = _agreeing(near, path)
        if able and agree < AGREEMENT * able:
            code = path[-1].label
            found.append(f"only {agree} of the {able} nearest known patents are in {code}")
        if answers.encodings[row].share < 1:
            found.append(f"only {answers.encodings[row].share:.0%} of the text was read")
        return found

    def _signals(
        self, row: int, answers: Answers, near: list[Neighbour], path: tuple[ScoredLabel, ...]
    ) -> Signals:
        agree, able = _agreeing(near, path)
        agreement = agree / able if able else None
        reference = self.bundle.reference
        if reference is None:
            return Signals(agreement=agreement)
        novelty = reference.space.novelty(answers.embeddings[row : row + 1])[0]
        return Signals(
            reference.vocabulary.oov_rate(answers.encodings[row].ids), float(novelty), agreement
        )


def _agreeing(near: list[Neighbour], path: tuple[ScoredLabel, ...]) -> tuple[int, int]:
    """How many of the nearest known patents have the label, of those whose is as fine."""
    jury = near[:K_NEIGHBOURS]
    agree = sum(path[-1].label in neighbour.codes for neighbour in jury)
    return agree, sum(len(neighbour.codes) >= len(path) for neighbour in jury)
