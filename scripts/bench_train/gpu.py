"""Training on a graphics card, in ten minutes: its share of the matrix peak, parity, memory.

    python scripts/bench_train/gpu.py DATA [--layers 16 --hidden 2048] [--device cuda]

A base of the shape of Llama-3.2-1B with random weights is trained for some steps by patclass and by
Trainer + PEFT; a small model must answer on the card as on the processor. With --device cpu and a
small shape it shows without a card that the script itself works.
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

import torch
from job import Job
from run import WORK, measured
from transformers import LlamaConfig, LlamaModel

from patclass.core.settings import LoraSettings, TrainSettings
from patclass.data.corpus import load_corpus
from patclass.model.base import resolve_base
from patclass.model.device import Compute, choose_compute
from patclass.model.network import Batch, Parts, new_classifier
from patclass.model.tokenizer import TextTokenizer

ROWS, MAX_TOKENS, SIDE = 512, 512, 8192
# Between float32 on a processor and on a card.
TOLERANCE = 1e-3


def main() -> None:
    """Print a line for each figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", help="patents with train, validation and test rows")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--hidden", type=int, default=2048)
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--rows", type=int, default=ROWS)
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("there is no CUDA device here")
    WORK.mkdir(parents=True, exist_ok=True)
    print(f"device: {choose_compute(args.device)}")
    print(f"largest difference of a logit to the processor: {parity(args.device):.1e}", flush=True)
    peak = matrix_peak(args.device)
    print(f"matrix peak in bfloat16: {peak / 1e12:.1f} TFLOP/s", flush=True)
    base, data = llama(args), rows_of(args)
    common = (str(base), str(data), 1, MAX_TOKENS, 2e-4, "all-linear")
    ours = measured(Job("patclass", *common))
    rival = measured(Job("tuned", *common, recipe="tuned", bf16=True, batch=16))
    share = ours.tokens_per_second * work_of_a_token(base) / peak
    print(f"patclass: {asdict(ours)}\nTrainer + PEFT: {asdict(rival)}")
    print(f"share of the matrix peak: {share:.0%} (wanted: at least 50 %)")
    ratio = ours.tokens_per_second / rival.tokens_per_second
    print(f"times as fast as Trainer + PEFT: {ratio:.2f} (wanted: at least 2)")


def parity(device: str) -> float:
    """The largest difference between the logits of MiniLM with an adapter on both devices."""
    base = resolve_base("minilm")
    tokenizer = TextTokenizer.load(base.folder, 64)
    batch = Batch.of(tokenizer.pad(tokenizer.token_ids(["A valve seat.", "A loom with a shed."])))
    found = []
    for place in ("cpu", device):
        torch.manual_seed(0)
        parts = Parts(base, Compute(place, "float32", False, "parity"))
        model = new_classifier(parts, LoraSettings(), 8).eval()
        with torch.no_grad():
            found.append(model(batch.to(place)).cpu())
    difference = float((found[0] - found[1]).abs().max())
    if difference > TOLERANCE:
        raise SystemExit(f"the devices differ by {difference:g}")
    return difference


def matrix_peak(device: str, repeats: int = 20) -> float:
    """Operations a second of large products in bfloat16."""
    side = SIDE if device == "cuda" else SIDE // 8
    left, right = (torch.randn(side, side, device=device).bfloat16() for _ in range(2))
    for _ in range(3):
        left @ right
    _wait(device)
    start = time.perf_counter()
    for _ in range(repeats):
        left @ right
    _wait(device)
    return 2 * side**3 * repeats / (time.perf_counter() - start)


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def llama(args: argparse.Namespace) -> Path:
    """A base of the wanted shape with random weights, and MiniLM's tokenizer."""
    folder = WORK / f"llama-{args.layers}-{args.hidden}"
    if not (folder / "config.json").is_file():
        tokenizer = resolve_base("minilm").folder
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=30_522,
            hidden_size=args.hidden,
            intermediate_size=4 * args.hidden,
            num_hidden_layers=args.layers,
            num_attention_heads=args.hidden // 64,
            num_key_value_heads=max(1, args.hidden // 256),
            head_dim=64,
            pad_token_id=0,
            dtype="bfloat16",
        )
        LlamaModel._from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (folder / name).write_bytes((tokenizer / name).read_bytes())
    return folder


def rows_of(args: argparse.Namespace) -> Path:
    """Long texts: each is several patents, so that the token limit is reached."""
    folder = WORK / "long-rows"
    folder.mkdir(exist_ok=True)
    flags = {"data": args.data, "labels": "section", "train_rows": 4 * args.rows}
    corpus = load_corpus(TrainSettings.load(flags, environment={}).data)
    codes = corpus.tree.at("section").codes
    for split, count in (("train", args.rows), ("validation", 32), ("test", 32)):
        rows = [row for row in corpus[split] if row.y_true[0] is not None]
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            for number in range(count):
                part = [rows[(4 * number + i) % len(rows)] for i in range(4)]
                text, label = " ".join(row.text for row in part), codes[part[0].y_true[0]]
                line = {"id": f"{split}{number}", "abstract": text, "label": label}
                file.write(json.dumps(line) + "\n")
    return folder


def work_of_a_token(base: Path) -> float:
    """Operations of a training step by the token: 4 N + 6 N of the adapter, and attention."""
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    inner, kv = config["intermediate_size"], config["num_key_value_heads"] * config["head_dim"]
    weights = layers * (2 * hidden * hidden + 2 * hidden * kv + 3 * hidden * inner)
    adapter = layers * 8 * (4 * hidden + 2 * (hidden + kv) + 3 * (hidden + inner))
    attention = 6 * layers * hidden * MAX_TOKENS  # causal: half of all pairs
    return 4 * weights + 6 * adapter + attention


if __name__ == "__main__":
    main()
