"""The contribution of each passage of a text to a prediction. Knows a pipeline and one text."""

import re
from dataclasses import replace

import numpy as np

from patclass.core.types import FloatArray
from patclass.inference.prediction import PassageShare
from patclass.model.tokenizer import EncodedText
from patclass.predictor.pipeline import Pipeline

MAX_SENTENCES = 16

_SENTENCE = re.compile(r"[^.;!?]+[.;!?]*\s*")


def contributions(
    pipeline: Pipeline, text: str, encoding: EncodedText, logits: FloatArray, level: str, label: str
) -> tuple[PassageShare, ...]:
    """Contributions by window if there are several, else by sentence.

    Of a sentence: the decrease of the label's log probability when the sentence is removed
    (occlusion; Zeiler and Fergus 2014). Of a window: its own log probability of the label less
    that of all windows together.

    :param logits: of the passages, shape (passages, outputs).
    :param label: a label of ``level``.
    """
    if len(encoding.passages) > 1:
        return _by_window(pipeline, encoding, logits, level, label)
    return _by_sentence(pipeline, text[: encoding.passages[0].end], level, label)


def _by_window(
    pipeline: Pipeline, encoding: EncodedText, logits: FloatArray, level: str, label: str
) -> tuple[PassageShare, ...]:
    count = len(pipeline.tree.paths)
    without_linear = replace(pipeline.calibration, linear_weight=0.0)
    every = np.vstack([logits, logits.mean(axis=0)])[:, :count]
    leaves = without_linear.apply(pipeline.tree, every)
    likelihood = _log_likelihood(pipeline, leaves, level, label)
    return tuple(
        PassageShare(passage.start, passage.end, float(own - likelihood[-1]))
        for passage, own in zip(encoding.passages, likelihood[:-1], strict=True)
    )


def _by_sentence(pipeline: Pipeline, text: str, level: str, label: str) -> tuple[PassageShare, ...]:
    spans = _sentences(text)
    if len(spans) == 1:
        return (PassageShare(0, len(text), 0.0),)
    shortened = [text[:start] + text[end:] for start, end in spans]
    leaves = pipeline.run([text, *shortened]).leaves
    likelihood = _log_likelihood(pipeline, leaves, level, label)
    return tuple(
        PassageShare(start, end, float(likelihood[0] - without))
        for (start, end), without in zip(spans, likelihood[1:], strict=True)
    )


def _log_likelihood(pipeline: Pipeline, leaves: FloatArray, level: str, label: str) -> FloatArray:
    position = pipeline.tree.at(level).index(label)
    return np.asarray(np.log(np.maximum(pipeline.tree.sums(leaves, level)[:, position], 1e-12)))


def _sentences(text: str) -> list[tuple[int, int]]:
    """Spans of at most ``MAX_SENTENCES`` sentences; the last one extends to the end."""
    starts = [match.start() for match in _SENTENCE.finditer(text)] or [0]
    starts = [0, *starts[1:MAX_SENTENCES]]
    return list(zip(starts, [*starts[1:], len(text)], strict=True))
