"""A training run set up: model, tokenizer, teacher, and what decides its weights."""

import hashlib
import json
from functools import partial
from pathlib import Path

import torch

from patclass.bundle import Bundle
from patclass.bundle.description import LAYOUT
from patclass.core.settings import TrainSettings
from patclass.data.examples import Corpus
from patclass.model.base import BaseFiles
from patclass.model.network import Parts, new_classifier, warm_start
from patclass.model.tokenizer import TextTokenizer
from patclass.training.loop import Fit, Task
from patclass.training.processes import Processes
from patclass.training.teacher import read_teacher, soft_labels

# Learning rate of a warm start, relative to that of training from scratch.
WARM_START_FACTOR = 0.1


def make_fit(
    settings: TrainSettings,
    parts: Parts,
    corpus: Corpus,
    folder: Path,
    parent: Bundle | None,
    start: Bundle | None,
    processes: Processes,
) -> Fit:
    """Model, tokenizer and task of a run.

    :param parent: the bundle whose weights a retraining starts from.
    :param start: the bundle that the setting ``base`` names.
    :raises ModelError: if base, adapter or teacher cannot be used.
    """
    teacher = settings.fit.teacher and read_teacher(settings.fit.teacher, corpus.tree)
    soft = None
    if teacher:
        texts = [row.text for row in corpus["train"]]
        soft = processes.after_first(
            partial(soft_labels, teacher, texts, corpus.tree, parts.compute.device)
        )
    torch.manual_seed(settings.data.seed)  # after the teacher, whose loading draws numbers too
    model = new_classifier(
        parts, settings.lora, corpus.tree.outputs, settings.fit.gradient_checkpointing
    )
    # A base inside a bundle has no tokenizer of its own.
    home = parts.base.folder if start is None else start.folder
    tokenizer = TextTokenizer.load(home, settings.base.max_tokens)
    rate = settings.fit.learning_rate
    assert rate is not None  # choose() has filled it in
    if parent is not None:
        rate *= WARM_START_FACTOR
    if before := parent or start:
        warm_start(model, before.folder / LAYOUT.adapter, before.folder, _shared(corpus, before))
    task = Task(
        corpus["train"],
        corpus["validation"],
        corpus.tree,
        rate,
        settings.data.seed,
        _run_id(settings, parts.base, corpus, teacher.sha256 if teacher else None),
        soft,
        parts.base.sha256,
    )
    autocast = settings.fit.mixed_precision and parts.compute.fast_bfloat16
    return Fit(model, tokenizer, task, settings.fit, folder, autocast, processes)


def _shared(corpus: Corpus, parent: Bundle) -> dict[int, int]:
    """The outputs that a model shares with its parent, by their paths: leaves and nodes."""
    here, there = corpus.tree, parent.tree
    leaves = {path: place for place, path in enumerate(there.paths)}
    nodes = {path: place for place, path in enumerate(there.nodes, len(there.paths))}
    shared = {place: leaves[path] for place, path in enumerate(here.paths) if path in leaves}
    return shared | {
        place: nodes[path]
        for place, path in enumerate(here.nodes, len(here.paths))
        if path in nodes
    }


def _run_id(settings: TrainSettings, base: BaseFiles, corpus: Corpus, teacher: str | None) -> str:
    """A hash over all that decides a run's weights; checkpoint intervals do not."""
    decisive = settings.model_dump(
        mode="json", exclude={"output": True, "answer": True, "data": {"data", "data_name"}}
    )
    for name in ("checkpoint_steps", "prefix_cache"):
        decisive["fit"].pop(name)
    parts = [decisive, base.sha256, corpus.fingerprint(), teacher]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
