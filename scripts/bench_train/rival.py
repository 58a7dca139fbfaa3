"""Trainer + PEFT as a contestant, in a process of its own: see job.py.

``original`` is the recipe of the original description: float32, texts padded to 512 tokens, one at
a time. ``tuned`` is what a careful user makes of the same libraries: the faster of float32 and
bfloat16 autocast with oneDNN's fast products where they are exact, batches of texts of like length
without more padding than they need, of the size that a trial finds fastest.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from job import Job, Result, main, peak_bytes
from peft import LoraConfig, get_peft_model
from torch.utils.data import Sampler
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)
from transformers.trainer_callback import PrinterCallback, TrainerCallback

from patclass.model.device import probe_cpu
from patclass.model.tokenizer import TextTokenizer

SIZES = (8, 16, 32)
TRIAL_STEPS = 3
MEGABATCH = 50


class ByLength(Sampler[int]):
    """Shuffled, then sorted by length within large groups, so that batches hardly pad."""

    def __init__(self, lengths: list[int], batch: int) -> None:
        self._lengths, self._batch = np.array(lengths), batch

    def __iter__(self) -> Iterator[int]:
        order = torch.randperm(len(self._lengths)).numpy()
        groups = np.array_split(order, max(1, len(order) // (self._batch * MEGABATCH)))
        batches = [
            part
            for group in groups
            for part in self._cut(group[np.argsort(self._lengths[group], kind="stable")])
        ]
        for number in torch.randperm(len(batches)).tolist():
            yield from batches[number].tolist()

    def _cut(self, group: np.ndarray) -> list[np.ndarray]:
        return [group[i : i + self._batch] for i in range(0, len(group), self._batch)]

    def __len__(self) -> int:
        return len(self._lengths)


class GroupingTrainer(Trainer):
    """The library's own grouping puts the longest first and shuffles little else."""

    def _get_train_sampler(self, *arguments: Any) -> Any:
        if self.args.per_device_train_batch_size == 1:
            return super()._get_train_sampler(*arguments)
        lengths = [len(ids) for ids in self.train_dataset["input_ids"]]
        return ByLength(lengths, self.args.per_device_train_batch_size)


class Clock(TrainerCallback):
    """Seconds of training, without what comes before the first step."""

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Start."""
        self.start = time.perf_counter()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Stop."""
        self.seconds = time.perf_counter() - self.start


def measure(job: Job) -> Result:
    """Train by the recipe and predict the test rows."""
    labels, splits = read(job)
    tokenizer = AutoTokenizer.from_pretrained(job.base)
    if tokenizer.pad_token is None:
        pad = TextTokenizer.load(Path(job.base), job.max_tokens).pad_id
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(pad)
    padding = "max_length" if job.recipe == "original" else False
    most = 512 if job.recipe == "original" else job.max_tokens

    def encode(rows: dict[str, list[str]]) -> Any:
        return tokenizer(rows["abstract"], truncation=True, max_length=most, padding=padding)

    data = {
        name: rows.map(encode, batched=True, remove_columns=["abstract"])
        for name, rows in splits.items()
    }
    if job.recipe != "original" and probe_cpu().fast_float32:
        torch.set_float32_matmul_precision("medium")
    if job.recipe == "trial":
        return trial(job, data["train"], tokenizer, labels)
    clock = Clock()
    trainer = training(job, adapted(job, tokenizer, labels), data["train"], tokenizer)
    trainer.add_callback(clock)
    trainer.train()
    peak = peak_bytes()
    tokens = sum(map(sum, data["train"]["attention_mask"])) * job.epochs
    if job.steps:
        tokens = tokens * job.steps / (len(data["train"]) * job.epochs)
    accuracy = None
    if not job.steps:
        found = trainer.predict(data["test"])
        accuracy = float((found.predictions.argmax(1) == found.label_ids).mean())
    note = f"{'bfloat16' if job.bf16 else 'float32'}, batches of {job.batch}"
    return Result(tokens / clock.seconds, clock.seconds, peak, accuracy, note)


def read(job: Job) -> tuple[list[str], dict[str, Dataset]]:
    """The labels in order, and the rows of both splits."""
    rows = {}
    for split in ("train", "test"):
        lines = (Path(job.data) / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
        rows[split] = list(map(json.loads, lines))
    labels = sorted({row["label"] for found in rows.values() for row in found})
    return labels, {
        split: Dataset.from_list(
            [{"abstract": r["abstract"], "labels": labels.index(r["label"])} for r in found]
        )
        for split, found in rows.items()
    }


def adapted(job: Job, tokenizer: Any, labels: list[str]) -> Any:
    """The base with a classification head and a fresh adapter."""
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(
        job.base, num_labels=len(labels), dtype=torch.float32
    )
    model.config.pad_token_id = tokenizer.pad_token_id
    targets = None if job.targets == "auto" else job.targets
    lora = LoraConfig(
        task_type="SEQ_CLS", r=8, lora_alpha=16, lora_dropout=0.1, target_modules=targets
    )
    return get_peft_model(model, lora)


def training(job: Job, model: Any, rows: Dataset, tokenizer: Any) -> Trainer:
    """A trainer as its documentation describes it."""
    arguments = TrainingArguments(
        output_dir=str(Path(job.data) / "trainer"),
        num_train_epochs=job.epochs,
        max_steps=job.steps or -1,
        per_device_train_batch_size=job.batch,
        per_device_eval_batch_size=16,
        learning_rate=job.rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.1,
        weight_decay=0.01,
        use_cpu=not torch.cuda.is_available(),
        bf16=job.bf16,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        logging_strategy="no",
        dataloader_pin_memory=False,
    )
    collator = DataCollatorWithPadding(tokenizer)
    trainer = GroupingTrainer(
        model=model, args=arguments, train_dataset=rows, data_collator=collator
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def trial(job: Job, rows: Dataset, tokenizer: Any, labels: list[str]) -> Result:
    """The number format and batch size that take the least time for a text, as a note."""
    found: dict[tuple[bool, int], float] = {}
    few = rows.select(range(min(len(rows), max(SIZES) * TRIAL_STEPS)))
    for bf16 in (False, True):
        for batch in SIZES:
            clock, steps = Clock(), max(1, len(few) // batch)
            tried = replace(job, bf16=bf16, batch=batch, steps=steps)
            trainer = training(tried, adapted(job, tokenizer, labels), few, tokenizer)
            trainer.add_callback(clock)
            trainer.train()
            found[bf16, batch] = clock.seconds / (steps * batch)
            if bf16 and found[bf16, batch] > 3 * min(found.values()):
                break  # emulated here
    return Result(0, sum(found.values()), 0, None, json.dumps(min(found, key=found.__getitem__)))


if __name__ == "__main__":
    main(measure)
