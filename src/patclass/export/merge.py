"""The tuned model as one plain transformers model, its adapter merged in. Knows folders."""

from pathlib import Path

from transformers import PreTrainedModel

from patclass.bundle.layout import LAYOUT
from patclass.files import file_sha256
from patclass.model.base import BaseFiles
from patclass.model.classifier import Parts, PatentClassifier, load_classifier
from patclass.model.device import choose_compute
from patclass.model.packed import PACKED

# A base is one file as long as this holds more than it has.
_ONE_FILE = "1000GB"


def save_merged(model: PatentClassifier, folder: Path) -> None:
    """Write base and head as a bundle has them."""
    assert isinstance(model.backbone, PreTrainedModel)
    base = folder / LAYOUT.base
    model.backbone.save_pretrained(base, max_shard_size=_ONE_FILE)
    model.save_head(folder)


def load_merged(folder: Path, outputs: int, device: str = "cpu") -> PatentClassifier:
    """Read back what ``save_merged`` has written, in float32.

    :raises ModelError: if it cannot be read.
    """
    parts = Parts(merged_base(folder), choose_compute(device, "float32"))
    return load_classifier(parts, None, folder, outputs)


def merged_base(folder: Path) -> BaseFiles:
    """The base in ``folder``, hashed."""
    base = folder / LAYOUT.base
    return BaseFiles(str(base), None, base, file_sha256(base / PACKED))
