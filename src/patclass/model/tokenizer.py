"""From texts to batches of tokens: which parts are read, padding, and batches filled by tokens.

Knows tokens and places in the text, no model.

A model reads a few hundred tokens at a time. ``head`` reads the first ones; ``head+tail``
reads the first three quarters of that from the start and the rest from the end; ``windows``
reads overlapping passages one after the other.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from patclass.core.errors import ModelError
from patclass.model.tokenizer_limits import check_limits

Truncation = Literal["head", "head+tail", "windows"]
TRUNCATIONS: tuple[Truncation, ...] = get_args(Truncation)

HEAD_SHARE = 0.75

# Neighbouring windows share a quarter, so that what one cuts in two the other holds whole.
OVERLAP = 0.25
MAX_WINDOWS = 16


@dataclass(frozen=True)
class Passage:
    """A part of a text: its tokens with the special ones, and its place in characters."""

    ids: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class EncodedText:
    """What is read of one text.

    :param share: the share of the text's characters that are read, 0 to 1.
    """

    passages: tuple[Passage, ...]
    share: float

    @property
    def ids(self) -> list[int]:
        """All tokens that are read, passage after passage."""
        return [token for passage in self.passages for token in passage.ids]


def window_spans(tokens: int, budget: int) -> list[tuple[int, int]]:
    """Overlapping spans of at most ``budget`` of ``tokens`` tokens; at most MAX_WINDOWS."""
    if tokens <= budget:
        return [(0, tokens)]
    step = max(1, round(budget * (1 - OVERLAP)))
    starts = list(range(0, tokens - budget, step))[: MAX_WINDOWS - 1]
    last = min(tokens - budget, starts[-1] + step)
    return [(start, start + budget) for start in (*starts, last)]


def passage_spans(tokens: int, budget: int, truncation: Truncation) -> list[list[tuple[int, int]]]:
    """The passages of a text, each as the spans of tokens that it is made of."""
    if tokens <= budget or truncation == "head":
        return [[(0, min(tokens, budget))]]
    if truncation == "windows":
        return [[span] for span in window_spans(tokens, budget)]
    head = round(budget * HEAD_SHARE)
    return [[(0, head), (tokens - (budget - head), tokens)]]


def encode_text(
    text: str,
    seen: int,
    encoding: Encoding,
    special_tokens: tuple[Sequence[int], Sequence[int]],
    budget: int,
    truncation: Truncation,
) -> EncodedText:
    """Cut an encoded text into passages.

    :param seen: how many characters of the text the tokenizer was given.
    :param encoding: the text's tokens without special ones.
    :param special_tokens: those before and after each passage.
    :param budget: content tokens in a passage.
    """
    ids, offsets = encoding.ids, encoding.offsets
    passages, read = [], set()
    for spans in passage_spans(len(ids), budget, truncation):
        chosen = [position for start, end in spans for position in range(start, end)]
        content = [ids[position] for position in chosen]
        places = [offsets[position] for position in chosen] or [(0, 0)]
        read.update(chosen)
        passages.append(
            Passage((*special_tokens[0], *content, *special_tokens[1]), places[0][0], places[-1][1])
        )
    return EncodedText(tuple(passages), _share(text, seen, offsets, read))


def _share(text: str, seen: int, offsets: Sequence[tuple[int, int]], read: set[int]) -> float:
    """Read characters over all characters; space between tokens belongs to the one before."""
    if not text or (len(read) == len(offsets) and seen == len(text)):
        return 1.0  # characters that are no tokens, such as control characters, were seen too
    if not offsets:
        return seen / len(text)
    ends = [*(start for start, _ in offsets[1:]), offsets[-1][1]]
    return min(1.0, sum(ends[p] - offsets[p][0] for p in read) / len(text))


FILE = "tokenizer.json"

# Far above any real text's characters per token, far below what makes a tokenizer slow.
CHARS_PER_TOKEN = 20

# In the order of preference: real padding tokens, then tokens reserved for such use, then
# any special token. Padding is masked everywhere, so which one it is does not matter, but
# it must exist: the embedding is never resized.
PAD_TOKENS = (
    "[PAD]",
    "<pad>",
    "<|finetune_right_pad_id|>",
    "<|reserved_special_token_0|>",
    "<|endoftext|>",
    "</s>",
    "<|end_of_text|>",
    "<unk>",
)


Ids = npt.NDArray[np.int32]


class Padded(NamedTuple):
    """Padded ids and their mask, both of shape (rows, tokens)."""

    input_ids: npt.NDArray[np.int64]
    attention_mask: npt.NDArray[np.int64]


class TextTokenizer:
    """A tokenizer with a length limit and an explicit padding token."""

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.pad_id = _pad_id(tokenizer)

    @classmethod
    def load(cls, folder: Path, max_tokens: int) -> "TextTokenizer":
        """Read ``tokenizer.json`` from a base or a bundle.

        :raises ModelError: if the file is broken.
        """
        path = folder / FILE
        try:
            data = path.read_bytes()
        except OSError as problem:
            raise ModelError(f"cannot read {path}: {problem.strerror}.") from problem
        return cls.parse(data, max_tokens, path)

    @classmethod
    def parse(cls, data: bytes, max_tokens: int, where: object = FILE) -> "TextTokenizer":
        """Read what ``tokenizer.json`` holds.

        :param where: the file's name for messages.
        :raises ModelError: if the file is broken.
        """
        try:
            with _panics():
                found = cls(Tokenizer.from_str(data.decode("utf-8")), max_tokens)
                check_limits(found._tokenizer)
                room = found._budget
        except Exception as problem:  # the Rust library raises bare Exception
            raise ModelError(f"cannot read {where}: {problem}") from problem
        if room < 1:
            raise ModelError(
                f"{where} adds {max_tokens - room} special tokens to a text, which leaves no room "
                f"for it in max_tokens {max_tokens}.",
                setting="max_tokens",
            )
        return found

    def save(self, folder: Path) -> None:
        """Write ``tokenizer.json``."""
        # The library's own save() turns a full disk into an anonymous exception.
        (folder / FILE).write_text(self._tokenizer.to_str(), encoding="utf-8")

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, special tokens included, cut at ``max_tokens``."""
        seen = [text[: self.max_tokens * CHARS_PER_TOKEN] for text in texts]
        with _panics():
            encodings = self._tokenizer.encode_batch_fast(seen, add_special_tokens=False)
        before, after = self._special_tokens
        return [[*before, *encoding.ids[: self._budget], *after] for encoding in encodings]

    def encode(self, texts: Sequence[str], truncation: Truncation) -> list[EncodedText]:
        """The passages of each text that are read under ``policy``."""
        passages = MAX_WINDOWS if truncation == "windows" else 1
        limit = self.max_tokens * CHARS_PER_TOKEN * passages
        seen = [text if truncation == "head+tail" else text[:limit] for text in texts]
        with _panics():
            encodings = self._tokenizer.encode_batch(seen, add_special_tokens=False)
        return [
            encode_text(text, len(part), encoding, self._special_tokens, self._budget, truncation)
            for text, part, encoding in zip(texts, seen, encodings, strict=True)
        ]

    @property
    def _budget(self) -> int:
        """Content tokens in a passage."""
        return self.max_tokens - sum(map(len, self._special_tokens))

    @cached_property
    def _special_tokens(self) -> tuple[list[int], list[int]]:
        """The special tokens that stand before and after any text."""
        encoding = self._tokenizer.encode("a")
        content = [i for i, special in enumerate(encoding.special_tokens_mask) if not special]
        if not content:
            raise ModelError(f"{FILE} makes no token of a letter; the tokenizer is damaged.")
        return encoding.ids[: content[0]], encoding.ids[content[-1] + 1 :]

    def pad(self, rows: Sequence[Sequence[int] | Ids], step: int = 1) -> Padded:
        """Pad rows of ids on the right to the longest of them, rounded up to whole steps.

        Never beyond ``max_tokens``, which may be all that the model has positions for.
        """
        longest = max(1, max(len(row) for row in rows))
        width = max(longest, min(-(-longest // step) * step, self.max_tokens))
        ids = np.full((len(rows), width), self.pad_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for line, row in enumerate(rows):
            ids[line, : len(row)] = row
            mask[line, : len(row)] = 1
        return Padded(ids, mask)


@contextmanager
def _panics() -> Iterator[None]:
    """Make an error of a panic in the Rust library, which is no ``Exception``.

    Its regular expressions panic where they would go back and forth without end.

    :raises ModelError: if it panics.
    """
    try:
        yield
    except BaseException as problem:
        if type(problem).__name__ != "PanicException":
            raise
        raise ModelError(f"{FILE} cannot encode a text: {problem}") from problem


def _pad_id(tokenizer: Tokenizer) -> int:
    for token in PAD_TOKENS:
        found = tokenizer.token_to_id(token)
        if found is not None:
            return int(found)
    special = [i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special]
    return int(min(special)) if special else 0


# A chunk is sorted by length before it is cut into batches. The more batches a chunk holds,
# the less padding; the fewer, the more the composition of batches differs between epochs.
BATCHES_PER_CHUNK = 16

# An engine that keeps memory for every shape sees lengths in these steps, and batches in powers
# of two. Two full abstracts are a batch: more gain nothing on a CPU and answer later.
STEP = 32
BATCH_TOKENS = 512


def fill_batches(lengths: Sequence[int], order: Sequence[int], budget: int) -> list[list[int]]:
    """Cut ``order`` into batches whose padded size stays within ``budget`` tokens.

    A single row longer than the budget is a batch of its own.
    """
    batches: list[list[int]] = []
    current: list[int] = []
    longest = 0
    for position in order:
        longest = max(longest, lengths[position])
        if current and longest * (len(current) + 1) > budget:
            batches.append(current)
            current, longest = [], lengths[position]
        current.append(position)
    return [*batches, current] if current else batches


def training_batches(
    lengths: Sequence[int], budget: int, rng: np.random.Generator
) -> list[list[int]]:
    """One epoch: shuffled, sorted by length within chunks, cut by tokens, shuffled again."""
    order = rng.permutation(len(lengths))
    mean = max(1.0, float(np.mean(lengths))) if len(lengths) else 1.0
    chunk = max(1, round(BATCHES_PER_CHUNK * budget / mean))
    batches: list[list[int]] = []
    for start in range(0, len(order), chunk):
        part = sorted((int(p) for p in order[start : start + chunk]), key=lengths.__getitem__)
        batches.extend(fill_batches(lengths, part, budget))
    return [batches[int(position)] for position in rng.permutation(len(batches))]


def scoring_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """All rows sorted by length, longest first, so that memory peaks at the first batch."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    return fill_batches(lengths, order, budget)


def cut_batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Rows of like length together, the longest first, by powers of two; never any padded row."""
    alike: dict[int, list[int]] = defaultdict(list)
    for position, length in enumerate(lengths):
        alike[rounded(length)].append(position)
    for width in sorted(alike, reverse=True):
        waiting, most = alike[width], max(1, BATCH_TOKENS // width)
        while waiting:
            size = 1 << (min(most, len(waiting)).bit_length() - 1)
            yield waiting[:size]
            waiting = waiting[size:]


def rounded(length: int) -> int:
    """A length as it is padded to."""
    return max(1, -(-length // STEP)) * STEP
