"""Bases in GGUF files: their weights as floats, in a folder that is made once.

Knows the container, not what the model is for.
"""

from pathlib import Path

from patclass.core.errors import ModelError
from patclass.core.files import atomic_folder, file_lock, file_sha256, user_cache
from patclass.core.progress import progress

MAGIC = b"GGUF"
_MARKER = "config.json"


def dequantised(path: Path, sha256: str | None = None) -> Path:
    """The folder of a GGUF file's model in float32, in the user's folder of caches.

    It is named after the file's hash, so that the same file is converted only once. Weights of few
    bits are what the quantisation left of them; a float copy of the same model is better.

    :param sha256: of the file, where it has been computed already.
    :raises ModelError: if it is no GGUF file, or of an architecture that cannot be read.
    :raises OutputError: if the folder cannot be written.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
    except OSError as problem:
        raise ModelError(f"cannot read {path}: {problem.strerror}.") from problem
    if magic != MAGIC:
        raise ModelError(f"{path} is no GGUF file: it begins with {magic!r}, not {MAGIC!r}.")
    folder = user_cache("bases") / (sha256 or file_sha256(path, ModelError))[:16]
    if not (folder / _MARKER).is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(folder.with_suffix(".lock")):
            if not (folder / _MARKER).is_file():
                _convert(path, folder)
    return folder


def _convert(path: Path, folder: Path) -> None:
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    from patclass.model.packing import save_tensors

    _check_architecture(path)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    where = {"gguf_file": path.name, "local_files_only": True, "trust_remote_code": False}
    with progress(f"reading {path.name}", 3, "part") as bar:
        try:
            tokenizer = AutoTokenizer.from_pretrained(path.parent, **where)
            bar.update()
            model = AutoModel.from_pretrained(path.parent, **where)
            bar.update()
        except Exception as problem:  # a damaged file fails anywhere in the libraries
            raise ModelError(f"cannot read {path}: {problem}") from problem
        del model.config.quantization_config  # its weights are floats now
        with atomic_folder(folder, _MARKER) as partial:
            save_tensors(model.state_dict(), partial / "model.safetensors")
            tokenizer.backend_tokenizer.save(str(partial / "tokenizer.json"))
            model.config.save_pretrained(partial)
        bar.update()


def _check_architecture(path: Path) -> None:
    """Refuse a model that could not be read, before the time is spent.

    :raises ModelError: naming the architecture, and those that can be read.
    """
    from gguf import GGUFReader
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    try:
        found = GGUFReader(path).get_field("general.architecture")
        architecture = str(found.contents()) if found else "unknown"
    except Exception as problem:  # the reader believes what a damaged file says of its lengths
        raise ModelError(f"cannot read {path}: {problem}") from problem
    if architecture not in GGUF_SUPPORTED_ARCHITECTURES:
        raise ModelError(
            f"{path} holds a model of the architecture '{architecture}'; GGUF files can be read of "
            f"{', '.join(sorted(GGUF_SUPPORTED_ARCHITECTURES))}. Use a folder with *.safetensors."
        )
