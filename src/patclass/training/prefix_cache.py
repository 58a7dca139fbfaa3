"""What the lower layers of a model make of the training texts, computed once and kept on disk.

Knows token ids and a folder, no labels. The file is mapped into memory: the operating system keeps
of it what there is room for. A killed run goes on where the file was last known to be whole.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import torch

from patclass.core.errors import TrainingError, cannot_write
from patclass.core.files import atomic_write, parse_json, write_json
from patclass.core.progress import progress
from patclass.model.machine import gibibytes
from patclass.model.network import Batch
from patclass.model.prefix import Prefix
from patclass.model.tokenizer import Ids, TextTokenizer, scoring_batches

# Left free on the disk, for checkpoints and the finished bundle.
RESERVED = 2**30
SAVE_SECONDS = 60.0
BATCH_TOKENS = 4096
STATES, DONE = "prefix.bin", "prefix.json"

# torch has numbers of 16 bits that numpy has not; both see the bytes.
_STORED = {torch.float32: "float32", torch.bfloat16: "uint16"}


class KeptStates(Protocol):
    """States of the lower layers that need not be computed again."""

    def given(self, batch: list[int]) -> AbstractContextManager[None]:
        """Have the model begin with the states of a batch."""


class PrefixCache:
    """The states of texts behind the lower layers, in a file of the run's folder."""

    def __init__(
        self,
        prefix: Prefix,
        tokenizer: TextTokenizer,
        rows: Sequence[Ids],
        used: Iterable[int],
        folder: Path,
        autocast: bool,
        base: str,
    ) -> None:
        """Nothing is computed or written yet.

        :param rows: token ids of every text.
        :param used: the positions of those that the run will read.
        :param autocast: whether a training step multiplies in bfloat16; the states are then kept
            in that format, else in that of the base.
        :param base: its hash.
        """
        self._prefix, self._tokenizer, self._rows = prefix, tokenizer, rows
        self._folder, self._autocast, self._base = folder, autocast, base
        self._dtype = torch.bfloat16 if autocast else prefix.dtype
        places = sorted(used)
        batches = scoring_batches([len(rows[place]) for place in places], BATCH_TOKENS)
        self._batches = [[places[number] for number in batch] for batch in batches]
        self._starts: dict[int, int] = {}
        tokens = 0
        for place in (place for batch in self._batches for place in batch):
            self._starts[place] = tokens
            tokens += len(rows[place])
        self._shape = (tokens, prefix.hidden)

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._shape[0] * self._shape[1] * self._dtype.itemsize

    def key(self) -> str:
        """A hash of all that the states depend on: base, depth, format and token ids."""
        digest = hashlib.sha256(f"{self._base} {len(self._prefix)} {self._dtype}".encode())
        for place in self._starts:
            row = np.array(self._rows[place], dtype=np.int64)
            digest.update(len(row).to_bytes(8, "big") + row.tobytes())
        return digest.hexdigest()

    def fill(self) -> None:
        """Compute what is not there yet.

        :raises TrainingError: if the disk has no room for it.
        """
        path, key = self._folder / STATES, self.key()
        done = self._done(key)
        if not done:
            self._check_room()
        try:
            with path.open("r+b" if done else "wb") as file:
                # What was written after the last mark may be a part of a batch.
                file.truncate(self._bytes_of(self._batches[:done]))
                file.seek(0, os.SEEK_END)
                self._compute(file, key, done)
            # A private view: nothing is ever written to it, but torch takes no other.
            mapped = np.memmap(path, np.dtype(_STORED[self._dtype]), "c", shape=self._shape)
        except OSError as problem:
            raise cannot_write(path, problem) from problem
        self._states = torch.from_numpy(mapped).view(self._dtype)

    def _done(self, key: str) -> int:
        """Batches that an earlier run has written."""
        try:
            found = parse_json((self._folder / DONE).read_bytes())
            done = int(found["batches"]) if found["key"] == key else 0
            whole = (self._folder / STATES).stat().st_size >= self._bytes_of(self._batches[:done])
        except (OSError, ValueError, KeyError, TypeError):
            return 0  # there is none, or it is damaged: all of it is computed
        return done if whole else 0

    def _bytes_of(self, batches: Sequence[Sequence[int]]) -> int:
        tokens = sum(len(self._rows[place]) for batch in batches for place in batch)
        return tokens * self._shape[1] * self._dtype.itemsize

    def _check_room(self) -> None:
        free = max(0, shutil.disk_usage(self._folder).free - RESERVED)
        if self.size > free:
            raise TrainingError(
                f"what {len(self._prefix)} lower layers make of the texts needs "
                f"{gibibytes(self.size)} in {self._folder}, where {gibibytes(free)} are "
                "free; write the output elsewhere, switch prefix_cache off, or lower max_tokens.",
                setting=("output", "prefix_cache", "max_tokens"),
            )

    def _compute(self, file: BinaryIO, key: str, done: int) -> None:
        counts = [len(batch) for batch in self._batches]
        what = f"lower {len(self._prefix)} layers, {gibibytes(self.size)} on disk"
        with progress(what, sum(counts), "text", sum(counts[:done])) as bar:
            saved = time.monotonic()
            for number in range(done, len(counts)):
                file.write(self._states_of(self._batches[number]))
                bar.update(counts[number])
                if number + 1 == len(counts) or time.monotonic() - saved > SAVE_SECONDS:
                    file.flush()
                    os.fsync(file.fileno())
                    with atomic_write(self._folder / DONE) as partial:
                        write_json(partial, {"key": key, "batches": number + 1})
                    saved = time.monotonic()

    def _states_of(self, batch: Sequence[int]) -> bytes:
        padded = self._tokenizer.pad([self._rows[place] for place in batch])
        with torch.autocast(self._prefix.device.type, torch.bfloat16, enabled=self._autocast):
            states = self._prefix.compute(Batch.of(padded)).to(self._dtype).cpu()
        real = states[torch.from_numpy(padded.attention_mask).bool()]
        return real.view(torch.uint8).numpy().tobytes()

    def given(self, batch: Sequence[int]) -> AbstractContextManager[None]:
        """Have the model begin with the states of a batch, padded to its longest text."""
        starts = [self._starts[place] for place in batch]
        return self._prefix.given_rows(
            [
                self._states[start : start + len(self._rows[place])]
                for start, place in zip(starts, batch, strict=True)
            ]
        )


def remove_cache(folder: Path) -> None:
    """Remove the file of a finished run."""
    for name in (STATES, DONE):
        (folder / name).unlink(missing_ok=True)
