"""A bundle that gets what live answers are compared with; all else stays as it is."""

import shutil
from pathlib import Path

from patclass.bundle.description import LAYOUT
from patclass.bundle.manifest import check_manifest
from patclass.core.errors import BundleError
from patclass.core.files import atomic_folder, file_sha256, write_json
from patclass.predictor.reference import Reference


def write_referenced(folder: Path, reference: Reference) -> None:
    """Put ``reference`` into the bundle in ``folder``, whose other files are copied.

    Its format stays that in which its other files are written.

    :raises BundleError: if it is incomplete or altered.
    :raises OutputError: if the disk is full or the place cannot be written.
    """
    manifest = check_manifest(folder)
    with atomic_folder(folder, LAYOUT.manifest) as partial:
        shutil.copytree(folder, partial, dirs_exist_ok=True)
        reference.save(partial)
        sha256 = file_sha256(partial / LAYOUT.reference, BundleError)
        files = manifest.files | {LAYOUT.reference: sha256}
        listed = manifest.model_copy(update={"files": dict(sorted(files.items()))})
        write_json(partial / LAYOUT.manifest, listed.model_dump())
