"""What each passage of a text contributes to an answer. Knows a pipeline and one text."""

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
    pipeline: Pipeline, text: str, reading: EncodedText, logits: FloatArray, level: str, label: str
) -> tuple[PassageShare, ...]:
    """By windows if there are several, else by sentences.

    A sentence contributes what the answer's log probability loses when the sentence is left
    out (occlusion; Zeiler and Fergus 2014); a window, how far its own log probability of the
    answer is above that of all windows together.
    """
    if len(reading.passages) > 1:
        return _by_window(pipeline, reading, logits, level, label)
    return _by_sentence(pipeline, text[: reading.passages[0].end], level, label)


def _by_window(
    pipeline: Pipeline, reading: EncodedText, logits: FloatArray, level: str, label: str
) -> tuple[PassageShare, ...]:
    count = len(pipeline.tree.paths)
    without_opinion = replace(pipeline.calibration, linear_weight=0.0)
    every = np.vstack([logits, logits.mean(axis=0)])[:, :count]
    leaves = without_opinion.apply(pipeline.tree, every)
    likelihood = _log_likelihood(pipeline, leaves, level, label)
    return tuple(
        PassageShare(passage.start, passage.end, float(own - likelihood[-1]))
        for passage, own in zip(reading.passages, likelihood[:-1], strict=True)
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
    """Spans of sentences that cover the text; the last one takes what is too many."""
    starts = [match.start() for match in _SENTENCE.finditer(text)] or [0]
    starts = [0, *starts[1:MAX_SENTENCES]]
    return list(zip(starts, [*starts[1:], len(text)], strict=True))
