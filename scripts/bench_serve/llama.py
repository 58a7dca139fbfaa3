"""The shape of Llama-3.2-1B: the original server beside ours, all on random weights.

Ours answers with a bundle that a real, if tiny, training run has made on the same base, and with
what is exported from it.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from load import closed_loop
from machine import machine
from models import make_llama
from page import LlamaFigures
from run import all_running, check_all_answered, ours, rival

from patclass.bundle import read_bundle
from patclass.cli.main import main as patclass
from patclass.data.corpus import load_corpus
from patclass.export.run import export as run_export

# The original takes several seconds for one text, so few clients and texts are enough.
CLIENTS, SECONDS, ROUNDS = 2, 30.0, 2
PRECISION = "bfloat16"


def measure_llama(work: Path, texts: Sequence[str]) -> LlamaFigures:
    base, bundle, exported = work / "llama", work / "llama-bundle", work / "llama-int8"
    if not (base / "config.json").is_file():
        make_llama(base)
    if not (bundle / "manifest.json").is_file():
        train(base, bundle)
    if not (exported / "manifest.json").is_file():
        export(bundle, exported)
    contestants = [
        rival("original", "rival_original.py", base),
        replace(ours(bundle), name="trained"),
        replace(ours(exported), name="exported"),
    ]
    rates: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    with all_running(contestants) as servers:
        for number in range(ROUNDS + 1):
            for name, server in servers.items():
                found = closed_loop(server.port, texts, CLIENTS, SECONDS, timeout=300)
                print(f"llama, round {number} {name}: {found}", flush=True)
                if number:
                    check_all_answered(found)
                    rates[name].append(found.rate)
    when = f"{datetime.now(UTC):%Y-%m-%d}"
    weights = read_bundle(exported).description.engine.weights
    return LlamaFigures(rates, PRECISION, weights, CLIENTS, when, machine())


def export(bundle: Path, target: Path) -> None:
    """As 'patclass export' does it, but on few texts, as each takes seconds."""
    opened = read_bundle(bundle)
    corpus = load_corpus(opened.description.data_settings(), opened.tree)
    run_export(opened, "openvino-int8", target, corpus, print, texts=16)


def train(base: Path, target: Path) -> None:
    rows = ("--train-rows", "16", "--validation-rows", "8", "--test-rows", "8", "--epochs", "1")
    how = ("--max-tokens", "256", "--precision", PRECISION, "--allow-weak", "--restart")
    flags = [*rows, *how, "--index-rows", "0", "--base", str(base), "--output", str(target)]
    patclass(["train", "--data", "sample", *flags], standalone_mode=False)
