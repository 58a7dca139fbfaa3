"""The shape of Llama-3.2-1B: the original server beside ours, both on random weights.

Ours answers with a bundle that a real, if tiny, training run has made on the same base.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from load import closed_loop
from machine import machine
from models import make_llama
from page import LlamaFigures
from run import all_running, check_all_answered, ours, rival

from patclass.cli.main import main as patclass

# The original takes several seconds for one text, so few clients and texts are enough.
CLIENTS, SECONDS, ROUNDS = 2, 30.0, 2
PRECISION = "bfloat16"


def measure_llama(work: Path, texts: Sequence[str]) -> LlamaFigures:
    base, bundle = work / "llama", work / "llama-bundle"
    if not (base / "config.json").is_file():
        make_llama(base)
    if not (bundle / "manifest.json").is_file():
        train(base, bundle)
    rates: dict[str, list[float]] = {"original": [], "patclass": []}
    with all_running([rival("original", "rival_original.py", base), ours(bundle)]) as servers:
        for number in range(ROUNDS + 1):
            for name, server in servers.items():
                found = closed_loop(server.port, texts, CLIENTS, SECONDS, timeout=300)
                print(f"llama, round {number} {name}: {found}", flush=True)
                if number:
                    check_all_answered(found)
                    rates[name].append(found.rate)
    when = f"{datetime.now(UTC):%Y-%m-%d}"
    return LlamaFigures(rates, PRECISION, CLIENTS, when, machine())


def train(base: Path, target: Path) -> None:
    rows = ("--train-rows", "16", "--validation-rows", "8", "--test-rows", "8", "--epochs", "1")
    how = ("--max-tokens", "256", "--precision", PRECISION, "--allow-weak", "--restart")
    flags = [*rows, *how, "--index-rows", "0", "--base", str(base), "--output", str(target)]
    patclass(["train", "--data", "sample", *flags], standalone_mode=False)
