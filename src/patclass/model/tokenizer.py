"""Text to token ids and padded batches. Knows a tokenizer.json, no model.

Nothing here trusts what a tokenizer.json says of truncation and padding: MiniLM's cuts at
128 and pads every text to it.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from patclass.errors import ModelError
from patclass.model.reading import MAX_WINDOWS, Policy, Reading, make_reading

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
        try:
            tokenizer = Tokenizer.from_file(str(folder / FILE))
        except Exception as problem:  # the Rust library raises bare Exception
            raise ModelError(f"cannot read {folder / FILE}: {problem}") from problem
        return cls(tokenizer, max_tokens)

    def save(self, folder: Path) -> None:
        """Write ``tokenizer.json``."""
        # The library's own save() turns a full disk into an anonymous exception.
        (folder / FILE).write_text(self._tokenizer.to_str(), encoding="utf-8")

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, special tokens included, cut at ``max_tokens``."""
        seen = [text[: self.max_tokens * CHARS_PER_TOKEN] for text in texts]
        encodings = self._tokenizer.encode_batch_fast(seen, add_special_tokens=False)
        before, after = self._frame
        return [[*before, *encoding.ids[: self._room], *after] for encoding in encodings]

    def read(self, texts: Sequence[str], policy: Policy) -> list[Reading]:
        """The passages of each text that are read under ``policy``."""
        passages = MAX_WINDOWS if policy == "windows" else 1
        limit = self.max_tokens * CHARS_PER_TOKEN * passages
        seen = [text if policy == "head+tail" else text[:limit] for text in texts]
        encodings = self._tokenizer.encode_batch(seen, add_special_tokens=False)
        return [
            make_reading(text, len(part), encoding, self._frame, self._room, policy)
            for text, part, encoding in zip(texts, seen, encodings, strict=True)
        ]

    @property
    def _room(self) -> int:
        """Content tokens in a passage."""
        return self.max_tokens - sum(map(len, self._frame))

    @cached_property
    def _frame(self) -> tuple[list[int], list[int]]:
        """The special tokens that stand before and after any text."""
        encoding = self._tokenizer.encode("a")
        content = [i for i, special in enumerate(encoding.special_tokens_mask) if not special]
        return encoding.ids[: content[0]], encoding.ids[content[-1] + 1 :]

    def pad(self, rows: Sequence[Sequence[int]], step: int = 1) -> Padded:
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


def _pad_id(tokenizer: Tokenizer) -> int:
    for token in PAD_TOKENS:
        found = tokenizer.token_to_id(token)
        if found is not None:
            return int(found)
    special = [i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special]
    return int(min(special)) if special else 0
