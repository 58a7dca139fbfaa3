"""Make a small copy of MiniLM for a bundle that carries its base: fewer words, fewer bits.

    python scripts/compact_base.py TEXTS.parquet OUT

Words that never occur in the texts leave the vocabulary; their pieces stay, so that any text
can still be read. Matrices are packed (patclass.model.packing).
"""

import argparse
import json
import shutil
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tqdm import tqdm

from patclass.model.base import resolve_base
from patclass.model.packing import pack

EMBEDDING = "embeddings.word_embeddings.weight"


def main() -> None:
    """Read the arguments and write the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("texts", type=Path, help="Parquet file with columns title and abstract")
    parser.add_argument("out", type=Path)
    parser.add_argument("--min-count", type=int, default=1, help="a word must occur this often")
    parser.add_argument("--bits", type=int, default=4, help="bits of the layers' matrices")
    parser.add_argument("--embedding-bits", type=int, default=4)
    args = parser.parse_args()
    base = resolve_base("minilm")
    tokenizer = Tokenizer.from_file(str(base.folder / "tokenizer.json"))
    kept = kept_tokens(tokenizer, args.texts, args.min_count)
    weights = load_file(base.folder / "model.safetensors")
    weights = {
        name: t
        for name, t in weights.items()
        if not name.startswith("pooler.") and t.ndim and t.is_floating_point()
    }
    weights[EMBEDDING] = weights[EMBEDDING][torch.tensor(kept)]
    bits = {name: args.bits for name, t in weights.items() if t.ndim == 2}
    bits |= {name: args.embedding_bits for name in bits if name.startswith("embeddings.")}
    bits.pop("embeddings.token_type_embeddings.weight")
    shutil.rmtree(args.out, ignore_errors=True)
    args.out.mkdir(parents=True)
    pack(weights, bits, args.out / "model.safetensors")
    write_tokenizer(base.folder / "tokenizer.json", kept, args.out / "tokenizer.json")
    config = json.loads((base.folder / "config.json").read_text())
    config["vocab_size"] = len(kept)
    (args.out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    size = sum(path.stat().st_size for path in args.out.iterdir())
    print(f"{args.out}: {len(kept):,} of {tokenizer.get_vocab_size():,} words, {size / 1e6:.1f} MB")


def kept_tokens(tokenizer: Tokenizer, texts: Path, min_count: int) -> list[int]:
    """Ids of special tokens, of all single characters, and of words seen often enough."""
    counts: Counter[int] = Counter()
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for batch in tqdm(pq.ParquetFile(texts).iter_batches(256, columns=["title", "abstract"])):
        rows = [f"{row['title'] or ''}. {row['abstract']}" for row in batch.to_pylist()]
        for encoding in tokenizer.encode_batch_fast(rows):
            counts.update(encoding.ids)
    special = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    vocabulary = tokenizer.get_vocab()
    letters = {i for word, i in vocabulary.items() if len(word.removeprefix("##")) == 1}
    often = {i for i, count in counts.items() if count >= min_count}
    return sorted(special | letters | often)


def write_tokenizer(source: Path, kept: list[int], target: Path) -> None:
    """The tokenizer with the kept words only, renumbered in their order."""
    content = json.loads(source.read_text(encoding="utf-8"))
    number = {old: new for new, old in enumerate(kept)}
    vocabulary = content["model"]["vocab"]
    content["model"]["vocab"] = {w: number[i] for w, i in vocabulary.items() if i in number}
    for token in content["added_tokens"]:
        token["id"] = number[token["id"]]
    for token in content["post_processor"].get("special_tokens", {}).values():
        token["ids"] = [number[i] for i in token["ids"]]
    for pair in ("cls", "sep"):
        if pair in content["post_processor"]:
            word, old = content["post_processor"][pair]
            content["post_processor"][pair] = [word, number[old]]
    content["padding"] = content["truncation"] = None
    target.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
