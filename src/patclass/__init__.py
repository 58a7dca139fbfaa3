"""patclass: LoRA-tuned classifiers for patents that prove their answers."""

import os
import sys

__version__ = "0.1.0"

# Nothing phones home. Set before any hub library, and before OpenVINO, is imported: it asks a
# package of its own to report each import, and does without where there is none.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_UPDATE_DOWNLOAD_COUNTS", "0")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")

__all__ = ["Classifier", "Prediction", "__version__", "load"]


def __getattr__(name: str) -> object:
    """Load the classifier's module, and torch with it, only when it is asked for."""
    if name in ("Classifier", "Prediction", "load"):
        from patclass import inference

        return getattr(inference, name)
    raise AttributeError(f"module 'patclass' has no attribute '{name}'")
