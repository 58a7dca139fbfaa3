"""The training loop and its learning rate.

Knows tokens and label positions; not where they come from.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from patclass.core.errors import TrainingError
from patclass.core.files import atomic_write
from patclass.core.progress import ProgressBar, progress
from patclass.core.settings import FitSettings
from patclass.core.types import softmax
from patclass.cpc.tree import LabelTree
from patclass.data.examples import Example
from patclass.engines.torch import SCORING_TOKENS
from patclass.evaluation.metrics import Metrics, evaluate_levels
from patclass.model.adapter import has_moved
from patclass.model.attention import float32_attention
from patclass.model.fused import fused_adapter
from patclass.model.last_token import last_token_only
from patclass.model.network import Batch, PatentClassifier
from patclass.model.packing import save_tensors
from patclass.model.prefix import Prefix
from patclass.model.token_rows import TokenRows
from patclass.model.tokenizer import TextTokenizer, scoring_batches
from patclass.training.checkpoint import (
    Curve,
    Progress,
    latest_checkpoint,
    read_progress,
    restore,
    save_checkpoint,
)
from patclass.training.loss import balanced, tree_loss
from patclass.training.plan import epoch_batches, learning_rate
from patclass.training.prefix_cache import KeptStates, PrefixCache
from patclass.training.processes import Processes
from patclass.training.teacher import SoftLabels

BEST = "best.safetensors"

# A step of a large base on a CPU takes half a minute; no more than this should be lost.
CHECKPOINT_SECONDS = 300.0


class OtherRunError(TrainingError):
    """A checkpoint that cannot be resumed: it is of other settings or other data."""


@dataclass(frozen=True)
class FitResult:
    """How a run ended; ``best_epoch`` counts from 1, ``checkpoint`` says if one is there."""

    best_epoch: int | None
    interrupted: bool
    checkpoint: bool


@dataclass(frozen=True)
class Task:
    """What is learnt from what.

    :param soft: a teacher's probabilities of the leaves, shape (training rows, leaves).
    :param base: hash of the base.
    """

    train: Sequence[Example]
    validation: Sequence[Example]
    tree: LabelTree
    peak_rate: float
    seed: int
    run: str
    soft: SoftLabels | None = None
    base: str = ""


class Fit:
    """One training run in a work folder; ``run()`` may be called once.

    Each epoch is evaluated on validation and the best one is kept in the work folder. The
    order of batches depends on seed and epoch alone, and the learning rate on the step alone,
    so weights, moments and the random state are all that a checkpoint needs.
    """

    def __init__(
        self,
        model: PatentClassifier,
        tokenizer: TextTokenizer,
        task: Task,
        settings: FitSettings,
        folder: Path,
        autocast: bool = False,
        processes: Processes = Processes(),  # noqa: B008 - it never changes
    ) -> None:
        """:param autocast: multiply in bfloat16 while training."""
        self.model, self.tokenizer, self.task, self.settings = model, tokenizer, task, settings
        self.folder, self.autocast, self.processes = folder, autocast, processes
        self.optimizer = torch.optim.AdamW(
            list(model.trainable().values()), lr=0.0, weight_decay=settings.weight_decay
        )
        rows = balanced(task.train, settings.balance)
        # Every text that may stand for a row, and the row of each.
        texts = [(text, place) for place, row in enumerate(rows) for text in (row.text, *row.views)]
        self.places = [place for _, place in texts]
        # Those of validation come behind them.
        validation = [row.text for row in task.validation]
        self.rows = TokenRows(tokenizer, [*(text for text, _ in texts), *validation])
        self.examples = [rows[place] for place in self.places]
        self.plan = [
            epoch_batches(task.train, self.rows.lengths, settings, (task.seed, epoch))
            for epoch in range(settings.epochs)
        ]
        self.steps = sum(len(batches) for batches in self.plan)
        self.progress = Progress(run=task.run, processes=processes.count)
        self.saved_at = time.monotonic()
        self.prefix: KeptStates | None = None
        # Called after each epoch with its number, from 1, and its score; may end the run.
        self.on_epoch: Callable[[int, float], None] = lambda epoch, score: None

    def run(self, resume: bool = False) -> FitResult:
        """Train; leave the best epoch's weights in the model.

        Ctrl-C ends the run after which the best epoch so far, if any, is in the model.

        :raises TrainingError: if the loss is not finite, or no adapter weight has moved after
            the first step, or there is nothing to resume.
        """
        checkpoint = self._restore() if resume else None
        self._compute_prefix()
        self.curve = Curve(
            self.folder / "curve.jsonl" if self.processes.first else None,
            self.progress.step if checkpoint else None,
        )
        interrupted = False
        with progress("training", self.steps, "step", self.progress.step) as bar:
            try:
                while self.progress.epoch < self.settings.epochs:
                    self._epoch(bar)
            except KeyboardInterrupt:
                if self.processes.count > 1:  # which are not all at the same step
                    raise
                interrupted = True
            except torch.OutOfMemoryError as problem:
                raise TrainingError(
                    f"the device has too little memory: {problem} Lower batch_tokens (now "
                    f"{self.settings.batch_tokens}) or use gradient_checkpointing.",
                    setting=("batch_tokens", "gradient_checkpointing"),
                ) from problem
        self._load_best()
        kept = latest_checkpoint(self.folder) is not None
        return FitResult(self.progress.best_epoch, interrupted, kept)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Have the model compute as it does while training, in one thread."""
        model = self.model
        with float32_attention(model.base), fused_adapter(model.backbone), last_token_only(model):
            yield

    def frozen_prefix(self) -> Prefix | None:
        """The layers whose states are kept for all epochs; None if there are none to keep.

        Also in the last epoch of a resumed run, which ends as it would have without a pause.
        """
        needed = self.settings.prefix_cache and self.settings.epochs > 1
        return Prefix.of(self.model) if needed else None

    @property
    def used(self) -> set[int]:
        """The positions in ``rows`` that the run reads, with those of validation."""
        drawn = {position for batches in self.plan for batch in batches for position in batch}
        return drawn | set(range(len(self.places), len(self.rows)))

    @property
    def validation_lengths(self) -> list[int]:
        """Tokens of the validation texts."""
        return [int(length) for length in self.rows.lengths[len(self.places) :]]

    def _compute_prefix(self) -> None:
        prefix = self.frozen_prefix()
        if prefix is None:
            return
        cache = PrefixCache(
            prefix,
            self.tokenizer,
            self.rows,
            self.used,
            self.folder,
            self.autocast,
            self.task.base,
        )
        with float32_attention(self.model.base):
            self.processes.after_first(cache.fill)
        self.prefix = cache

    def _restore(self) -> Path:
        checkpoint = latest_checkpoint(self.folder)
        if checkpoint is None:
            raise TrainingError(
                f"nothing to resume in {self.folder}: no checkpoint was written yet. "
                "Run again without resume.",
                setting="resume",
            )
        self.progress = read_progress(checkpoint)
        if self.progress.run != self.task.run:
            raise OtherRunError(
                f"{self.folder} holds a run with other settings or other data; resume with the "
                "same ones, or start again with restart.",
                setting="restart",
            )
        if self.progress.processes != self.processes.count:
            raise OtherRunError(
                f"{self.folder} holds a run of {self.progress.processes} processes, and this is "
                f"one of {self.processes.count}, whose sums would differ; resume it with as many, "
                "or start again with restart.",
                setting="restart",
            )
        restore(checkpoint, self.model, self.optimizer)
        return checkpoint

    def _epoch(self, bar: ProgressBar) -> None:
        batches = self.plan[self.progress.epoch]
        self.model.train()
        with self.computing():
            while self.progress.step_in_epoch < len(batches):
                self._step(batches[self.progress.step_in_epoch], bar)
                if self._checkpoint_is_due() and self.progress.step_in_epoch < len(batches):
                    self._checkpoint()
            levels = self._validate()
        self._finish_epoch(levels, bar)

    def _step(self, batch: list[int], bar: ProgressBar) -> None:
        start = time.perf_counter()
        rate = self._set_rate()
        if self.processes.count > 1:  # each draws its own dropout, also after a pause
            torch.manual_seed(hash((self.task.seed, self.progress.step, self.processes.rank)))
        value = self.learn(batch)
        value = self.processes.sum_gradients(self.model.trainable().values(), value)
        if not math.isfinite(value):
            raise self._diverged(f"the loss is {value}")
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._count_step()
        tokens = sum(len(self.rows[position]) for position in batch)
        speed = tokens / (time.perf_counter() - start)
        step = self.progress.step
        self.curve.add(step=step, loss=value, rate=rate, tokens_per_second=round(speed))
        bar.set_postfix_str(f"loss {value:.3f}, {speed:,.0f} tokens/s", refresh=False)
        bar.update()

    def _diverged(self, sign: str) -> TrainingError:
        return TrainingError(
            f"{sign} at step {self.progress.step + 1}: training has diverged. Lower "
            f"learning_rate (now {self.task.peak_rate:g}) or use precision float32.",
            setting=("learning_rate", "precision"),
        )

    def _set_rate(self) -> float:
        rate = learning_rate(
            self.progress.step, self.steps, self.task.peak_rate, self.settings.warmup
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _count_step(self) -> None:
        done, here = self.progress.step + 1, self.progress.step_in_epoch + 1
        if done == 1 and not has_moved(self.model.backbone):
            raise TrainingError(
                "no adapter weight has moved after the first step: the gradients do not reach "
                "the adapter. Check targets, and gradient_checkpointing if it is on.",
                setting=("targets", "gradient_checkpointing"),
            )
        self.progress = self.progress.model_copy(update={"step": done, "step_in_epoch": here})

    def learn(self, batch: list[int]) -> float:
        """Add the gradients of this process's share of a batch; return its share of the loss."""
        share = self.processes.share(batch)
        if not share:
            return 0.0
        examples, whole = ([self.examples[place] for place in part] for part in (share, batch))
        logits, soft = self.logits(share), self._soft(share)
        loss = tree_loss(logits, examples, self.task.tree, soft, self.settings.teacher_share, whole)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    def logits(self, batch: list[int]) -> torch.Tensor:
        """Logits of the texts at these positions, in the number format of a step."""
        # Weights stay float32: only the products are computed in the shorter format.
        known = nullcontext() if self.prefix is None else self.prefix.given(batch)
        with known, torch.autocast(self.model.device.type, torch.bfloat16, enabled=self.autocast):
            logits: torch.Tensor = self.model(self.batch(batch))
        return logits

    def batch(self, batch: list[int]) -> Batch:
        """The texts at these positions, padded, on the model's device."""
        padded = self.tokenizer.pad([self.rows[position] for position in batch])
        return Batch.of(padded).to(self.model.device)

    def padded(self, batch: list[int]) -> int:
        """Tokens of a batch with its padding."""
        return len(batch) * max(len(self.rows[position]) for position in batch)

    def _soft(self, batch: list[int]) -> torch.Tensor | None:
        if self.task.soft is None:
            return None
        rows = self.task.soft[[self.places[position] for position in batch]]
        return torch.from_numpy(rows.astype(np.float32))

    def _finish_epoch(self, levels: dict[str, Metrics], bar: ProgressBar) -> None:
        score = float(np.mean([getattr(m, self.settings.best_by) for m in levels.values()]))
        loss = float(np.mean([metrics.loss for metrics in levels.values()]))
        before = self.progress
        epoch = before.epoch + 1
        better = before.is_beaten_by(score, loss)
        update: dict[str, object] = {"epoch": epoch, "step_in_epoch": 0}
        if better:
            update |= {"best_epoch": epoch, "best_score": score, "best_loss": loss}
            self._save_best()
        for level, metrics in levels.items():
            self.curve.add(
                step=before.step,
                epoch=epoch,
                level=level,
                validation_accuracy=metrics.accuracy,
                validation_macro_f1=metrics.macro_f1,
                validation_loss=metrics.loss,
            )
            bar.write(
                f"epoch {epoch}/{self.settings.epochs}, {level}: validation accuracy "
                f"{metrics.accuracy:.1%}, macro F1 {metrics.macro_f1:.3f}, "
                f"loss {metrics.loss:.3f}{' (best)' if better else ''}"
            )
        self.progress = before.model_copy(update=update)
        self._checkpoint()
        self.on_epoch(epoch, score)

    def _validate(self) -> dict[str, Metrics]:
        """Figures by level, in the number format of a step: only epochs are compared by them."""
        rows, tree, start = self.task.validation, self.task.tree, len(self.places)
        logits = torch.zeros(len(rows), len(tree.paths), device=self.model.device)
        batches = scoring_batches(self.validation_lengths, SCORING_TOKENS)
        self.model.eval()
        with progress("validation", len(rows), leave=False) as bar, torch.no_grad():
            for batch in self.processes.share(batches):
                found = self.logits([start + number for number in batch])
                logits[batch] = found[:, : len(tree.paths)]
                bar.update(len(batch) * self.processes.count)
        self.processes.sum(logits)
        if not logits.isfinite().all():
            raise self._diverged("a logit on validation is not a number")
        return evaluate_levels(rows, softmax(logits.cpu().numpy()), tree)

    def _checkpoint_is_due(self) -> bool:
        waited = time.monotonic() - self.saved_at
        return self.progress.step % self.settings.checkpoint_steps == 0 or (
            waited > CHECKPOINT_SECONDS
        )

    def _checkpoint(self) -> None:
        self.saved_at = time.monotonic()
        if self.processes.first:
            save_checkpoint(self.folder, self.model, self.optimizer, self.progress)

    def _save_best(self) -> None:
        if not self.processes.first:
            return
        with atomic_write(self.folder / BEST) as partial:
            save_tensors(self.model.trainable(), partial)

    def _load_best(self) -> None:
        if self.progress.best_epoch is None or not self.processes.first:
            return
        try:
            best = load_file(self.folder / BEST)
        except (OSError, SafetensorError) as problem:
            raise TrainingError(
                f"{self.folder / BEST} is damaged ({problem}); start again with restart.",
                setting="restart",
            ) from problem
        with torch.no_grad():
            for name, parameter in self.model.trainable().items():
                parameter.copy_(best[name])
