"""The classifier of a bundle, with scikit-learn's verbs, and its warnings.

Knows texts and options, no HTTP.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from patclass.bundle import Bundle, read_bundle
from patclass.bundle.registry import locate
from patclass.core.errors import ConfigError, DataError
from patclass.core.types import FloatArray, OnProgress
from patclass.data.cleaning import MAX_CHARS, clean
from patclass.data.text import SURROGATE, TextView
from patclass.inference.assigned_codes import AssignedCode, assigned_codes
from patclass.inference.prediction import (
    AUTO,
    DEFAULT_CODE_THRESHOLD,
    MIN_ALTERNATIVE,
    AnswerWarning,
    Options,
    PassageShare,
    Prediction,
    ScoredLabel,
    Signals,
    check_level,
    choose_level,
    contributions,
    path_to,
    scored_labels,
    thresholds_of,
)
from patclass.inference.text_warnings import NEVER_SURE, text_warnings
from patclass.model.tokenizer import EncodedText
from patclass.predictor.calibration import NEVER
from patclass.predictor.neighbours import Neighbour
from patclass.predictor.pipeline import PipelineOutputs

# The k nearest neighbours that are compared with the label, and the share that should have it.
K_NEIGHBOURS = 10
AGREEMENT = 0.2


Patent = str | Mapping[str, Any]


DEFAULTS = Options()


def load(model: str | Path | None = None, device: str = "auto") -> "Classifier":
    """Load a bundle as a classifier.

    :param model: its folder, or ``shipped``; None for that of ``PATCLASS_MODEL``, else the
        shipped one.
    :raises BundleError: if it is incomplete, altered, or its base is not there.
    """
    return Classifier(read_bundle(locate(model)), device)


class Classifier:
    """Classifies patents; a patent is a text or a mapping of its fields."""

    def __init__(self, bundle: Bundle, device: str = "auto", threads: int = 0) -> None:
        """Load what computes.

        :param threads: how many an exported model uses; 0 for one for each core.
        """
        self.bundle = bundle
        self.tree = bundle.tree
        self.view = TextView(tuple(bundle.description.text.view.split("+")))
        self._pipeline = bundle.load_pipeline(device, threads)

    @property
    def classes_(self) -> list[str]:
        """Codes of the finest level, in the order of the columns of ``predict_proba``."""
        return self.tree.at(self.tree.finest).codes

    def text_of(self, patent: Patent) -> str:
        """The text of a patent, before truncation.

        :raises DataError: if there is no text, more than ``MAX_CHARS`` characters, or invalid
            Unicode.
        """
        text = clean(patent) if isinstance(patent, str) else self.view.text_of_patent(patent)
        if not text:
            columns = "text, title, abstract, claims or description"
            raise DataError(f"no text: expected words in {columns}.")
        if len(text) > MAX_CHARS:
            raise DataError(
                f"the text has {len(text):,} characters; at most {MAX_CHARS:,} are accepted. "
                "Use the title and the abstract, or shorten it."
            )
        if SURROGATE.search(text):
            raise DataError("the text is not valid Unicode: it contains half a surrogate pair.")
        return text

    def predict_proba(
        self,
        patents: Sequence[Patent],
        level: str | None = None,
        on_progress: OnProgress = lambda rows: None,
    ) -> FloatArray:
        """Probabilities of a level's labels, float32 of shape (patents, labels).

        :param level: the finest if None. Rows of a fine level add up to one less the probability
            of codes that were too rare for training.
        :param on_progress: called with the number of patents that were classified.
        :raises DataError: if a patent has no usable text.
        :raises ConfigError: if the model does not have the level.
        """
        level = level or self.tree.finest
        check_level(self.tree, level)
        texts = [self.text_of(patent) for patent in patents]
        leaves = self._pipeline.run(texts, on_progress).leaves
        return self.tree.sums(leaves, level)

    def predict(self, patents: Sequence[Patent], level: str | None = None) -> list[str]:
        """The most probable label of each patent at a level; the finest if None.

        :raises DataError: if a patent has no usable text.
        :raises ConfigError: if the model does not have the level.
        """
        best = self.predict_proba(patents, level).argmax(axis=1)
        labels = self.tree.at(level or self.tree.finest)
        return [labels[int(position)].code for position in best]

    def classify(
        self,
        patents: Sequence[Patent],
        options: Options = DEFAULTS,
        on_progress: OnProgress = lambda rows: None,
    ) -> list[Prediction]:
        """The prediction for each patent, with its evidence and warnings.

        :param on_progress: called with the number of patents that were classified.
        :raises DataError: if a patent has no usable text.
        :raises ConfigError: if the bundle does not support the options.
        """
        self.check_options(options)
        texts = [self.text_of(patent) for patent in patents]
        if not texts:
            return []
        return self.classify_encoded(texts, self.encode(texts), [options] * len(texts), on_progress)

    def encode(self, texts: Sequence[str]) -> list[EncodedText]:
        """The token ids and passages of texts returned by ``text_of``."""
        return self._pipeline.encode(texts)

    def classify_encoded(
        self,
        texts: Sequence[str],
        encodings: list[EncodedText],
        options: Sequence[Options],
        on_progress: OnProgress = lambda rows: None,
    ) -> list[Prediction]:
        """The prediction for each encoded text, with checked options of its own."""
        outputs = self._pipeline.run_encoded(texts, encodings, on_progress)
        k = max(K_NEIGHBOURS, *(each.neighbours for each in options))
        index = self.bundle.neighbours
        neighbours = [[]] * len(texts) if index is None else index.nearest(outputs.embeddings, k)
        return [
            self._prediction(row, text, outputs, neighbours[row], options[row])
            for row, text in enumerate(texts)
        ]

    def verify(self) -> float:
        """Classify the bundle's golden texts; return the largest difference of a logit.

        :raises BundleError: if the logits differ from those that were saved.
        """
        return self.bundle.check(self._pipeline)

    def check_options(self, options: Options) -> None:
        """Check options before any text is read.

        :raises ConfigError: naming the option that the bundle does not support.
        """
        if options.level != AUTO:
            check_level(self.tree, options.level)
        thresholds_of(self.tree, self.bundle.calibration.thresholds, options.threshold)
        if options.neighbours and self.bundle.neighbours is None:
            raise ConfigError(
                "neighbours: this model has no index of similar patents; train one with "
                "index_rows above 0.",
                setting=("neighbours", "index_rows"),
            )
        if options.coverage is not None:
            self._check_coverage(options.level, options.coverage)
        self._check_codes(options)

    def _check_codes(self, options: Options) -> None:
        """Refuse what a model with one label a patent, or without thresholds, cannot choose by."""
        given = [name for name in ("precision", "recall") if getattr(options, name) is not None]
        if given and not options.all_codes:
            raise ConfigError(
                f"{given[0]}: it chooses among all codes; ask for all_codes too.",
                setting=(given[0], "all_codes"),
            )
        if options.all_codes and not self.tree.nodes:
            raise ConfigError(
                "all_codes: this model knows one label a patent; train one with labels cpc on rows "
                "with all their codes.",
                setting=("all_codes", "labels"),
            )
        if given and self.bundle.all_codes is None:
            raise ConfigError(
                f"{given[0]}: this model was saved without thresholds for all codes; train it "
                "again with more validation rows.",
                setting=given[0],
            )
        if given:
            self._code_thresholds(options)

    def _check_coverage(self, level: str, coverage: float) -> None:
        """Refuse a coverage that no requested level supports."""
        conformal = self.bundle.conformal.levels
        levels = [name for name in self.tree.levels if level in (AUTO, name) and name in conformal]
        if not levels:
            which = f"the level {level}" if conformal else "any level"
            alternative = "choose another level, or " if conformal else ""
            raise ConfigError(
                f"coverage: this model was saved without held-out scores for {which}; "
                f"{alternative}train it again with more validation rows.",
                setting="coverage",
            )
        if not any(conformal[name].allows(coverage) for name in levels):
            conformal[levels[0]].bounds(len(self.tree.at(levels[0])), coverage)  # says why

    def _prediction(
        self,
        row: int,
        text: str,
        outputs: PipelineOutputs,
        neighbours: list[Neighbour],
        options: Options,
    ) -> Prediction:
        tree, leaves = self.tree, outputs.leaves[row : row + 1]
        sums = {level: tree.sums(leaves, level)[0] for level in tree.levels}
        thresholds = thresholds_of(tree, self.bundle.calibration.thresholds, options.threshold)
        of_text = text_warnings(text, self.bundle.description.data.languages)
        if any(warning.code in NEVER_SURE for warning in of_text):
            thresholds = dict.fromkeys(thresholds, NEVER)
        start: tuple[str, ...] = ()
        if options.level != AUTO:
            code = tree.at(options.level)[int(sums[options.level].argmax())].code
            start = path_to(tree, options.level, code)
        levels = self._scored_path(tree.descend(sums, start), sums)
        confidences = {level: best.confidence for level, best in levels.items()}
        level, sure = choose_level(confidences, options.level, thresholds)
        order = np.argsort(-sums[level], kind="stable")[: max(1, options.k)]
        best = levels[level]
        path = tuple(levels[name] for name in tree.levels[: tree.levels.index(level) + 1])
        return Prediction(
            label=best.label,
            name=best.name,
            confidence=best.confidence,
            level=level,
            sure=sure,
            path=path,
            levels=levels,
            top=scored_labels(tree, level, sums[level], order),
            label_set=self._label_set(level, sums[level], options.coverage),
            codes=self._codes(outputs.nodes[row], path, options),
            read_share=outputs.encodings[row].share,
            passages=self._passages(row, text, outputs, best.label, level, options),
            neighbours=tuple(neighbours[: options.neighbours]),
            warnings=(
                *of_text,
                *self._model_warnings(path, sure, neighbours),
                *_partly_read(outputs.encodings[row].share),
                *self._no_label_set(level, options.coverage),
            ),
            text=text,
            signals=self._signals(row, outputs, neighbours, path),
            alternatives=self._alternatives(sums) if options.alternatives else None,
        )

    def _codes(
        self, probabilities: FloatArray, path: tuple[ScoredLabel, ...], options: Options
    ) -> tuple[AssignedCode, ...] | None:
        if not options.all_codes:
            return None
        fitted = self.bundle.all_codes
        precisions = None if fitted is None else fitted.precisions(self.tree, probabilities)
        return assigned_codes(
            self.tree,
            probabilities,
            precisions,
            self._code_thresholds(options),
            tuple(step.label for step in path),
            tuple(step.confidence for step in path),
        )

    def _code_thresholds(self, options: Options) -> FloatArray:
        """The probability from which on each node is given, shape (nodes,)."""
        found = self.bundle.all_codes
        if found is None:
            return np.full(len(self.tree.nodes), DEFAULT_CODE_THRESHOLD, dtype=np.float32)
        return found.thresholds(self.tree, options.precision, options.recall)

    def _alternatives(self, sums: Mapping[str, FloatArray]) -> dict[str, tuple[ScoredLabel, ...]]:
        alternatives = {}
        for level, probabilities in sums.items():
            order = np.argsort(-probabilities, kind="stable")
            likely = order[probabilities[order] >= MIN_ALTERNATIVE]
            alternatives[level] = scored_labels(self.tree, level, probabilities, likely)
        return alternatives

    def _scored_path(
        self, path: tuple[str, ...], sums: Mapping[str, FloatArray]
    ) -> dict[str, ScoredLabel]:
        """The labels of a path by level, with their probabilities."""
        scored = {}
        for level, code in zip(self.tree.levels, path, strict=False):
            position = np.array([self.tree.at(level).index(code)])
            scored[level] = scored_labels(self.tree, level, sums[level], position)[0]
        return scored

    def _label_set(
        self, level: str, probabilities: FloatArray, coverage: float | None
    ) -> tuple[ScoredLabel, ...] | None:
        conformal = self.bundle.conformal.levels.get(level)
        if coverage is None or conformal is None or not conformal.allows(coverage):
            return None
        inside = np.flatnonzero(conformal.sets(probabilities[None], coverage)[0])
        order = inside[np.argsort(-probabilities[inside], kind="stable")]
        return scored_labels(self.tree, level, probabilities, order)

    def _no_label_set(self, level: str, coverage: float | None) -> Iterator[AnswerWarning]:
        conformal = self.bundle.conformal.levels.get(level)
        if coverage is not None and (conformal is None or not conformal.allows(coverage)):
            message = f"no label set: too few held-out rows have a known {level} for this coverage"
            yield AnswerWarning("no_label_set", message)

    def _passages(
        self,
        row: int,
        text: str,
        outputs: PipelineOutputs,
        label: str,
        level: str,
        options: Options,
    ) -> tuple[PassageShare, ...]:
        encoding = outputs.encodings[row]
        if options.explain:
            logits = outputs.passages[row]
            return contributions(self._pipeline, text, encoding, logits, level, label)
        return tuple(PassageShare(p.start, p.end, 0.0) for p in encoding.passages)

    def _model_warnings(
        self, path: tuple[ScoredLabel, ...], sure: bool, neighbours: list[Neighbour]
    ) -> Iterator[AnswerWarning]:
        index = self.bundle.neighbours
        if index is not None and neighbours and neighbours[0].similarity < index.unlike:
            yield AnswerWarning("unlike_training", "the text is unlike all training texts")
        if not sure and len(path) == 1:
            message = f"not even the {self.tree.levels[0]} is sure: have it reviewed"
            yield AnswerWarning("low_confidence", message)
        agreeing, comparable = _agreement(neighbours, path)
        if comparable and agreeing < AGREEMENT * comparable:
            message = f"only {agreeing} of the {comparable} most similar patents are in "
            yield AnswerWarning("neighbours_disagree", message + path[-1].label)

    def _signals(
        self,
        row: int,
        outputs: PipelineOutputs,
        neighbours: list[Neighbour],
        path: tuple[ScoredLabel, ...],
    ) -> Signals:
        agreeing, comparable = _agreement(neighbours, path)
        agreement = agreeing / comparable if comparable else None
        reference = self.bundle.reference
        if reference is None:
            return Signals(agreement=agreement)
        novelty = reference.space.novelty(outputs.embeddings[row : row + 1])[0]
        oov_rate = reference.vocabulary.oov_rate(outputs.encodings[row].ids)
        return Signals(oov_rate, float(novelty), agreement)


def _partly_read(share: float) -> Iterator[AnswerWarning]:
    if share < 1:
        yield AnswerWarning("partly_read", f"only {share:.0%} of the text was read")


def _agreement(neighbours: list[Neighbour], path: tuple[ScoredLabel, ...]) -> tuple[int, int]:
    """How many of the k nearest neighbours have the label, and how many have its level at all."""
    nearest = neighbours[:K_NEIGHBOURS]
    agreeing = sum(path[-1].label in neighbour.codes for neighbour in nearest)
    return agreeing, sum(len(neighbour.codes) >= len(path) for neighbour in nearest)
