"""Promotion of a candidate to champion, and rollback to the previous champion.

The registry's pointer decides which version is the champion; the store records the reason.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from patclass.bundle import Bundle, read_bundle
from patclass.bundle.registry import ADD_LOCK, Registry
from patclass.core.errors import BundleError
from patclass.core.files import atomic_write
from patclass.evaluation.report import check_report
from patclass.learning.gate import Decision, html_decision
from patclass.store.database import Database
from patclass.store.history import CANDIDATE, CHAMPION, REFUSED, EventStore, ModelRow, ModelStore

DECISIONS = "decisions"


def find_version(registry: Registry, wanted: str) -> Bundle:
    """A version by its folder's name or by the first digits of its version.

    :raises BundleError: if there is none, or several, or it is damaged.
    """
    folders = {path.name: path for path in registry.folders()}
    if wanted in folders:
        return read_bundle(folders[wanted])
    found = [
        bundle
        for bundle in read_versions(registry).values()
        if bundle is not None and bundle.fingerprint.startswith(wanted)
    ]
    if len(found) != 1:
        raise BundleError(
            f"'{wanted}' is {'no' if not found else 'more than one'} version in "
            f"{registry.folder}; there are {', '.join(folders) or 'none'}."
        )
    return found[0]


def read_versions(registry: Registry) -> dict[Path, Bundle | None]:
    """The bundles of all versions by folder, oldest first; None for a damaged one."""
    return {folder: _read_or_none(folder) for folder in registry.folders()}


def _read_or_none(folder: Path) -> Bundle | None:
    try:
        return read_bundle(folder)
    except BundleError:
        return None


def register(registry: Registry, database: Database, folder: Path) -> Bundle:
    """Copy a bundle into the registry as a candidate, unless it is registered already.

    :raises BundleError: if it is damaged, or its predictions differ from those when it was saved.
    """
    new = read_bundle(folder)
    known = _find_equal(registry, new)
    if known is not None:
        return known
    check_report(new)
    new.verify()
    with registry.lock(ADD_LOCK):  # somebody may have been quicker
        known = _find_equal(registry, new)
        if known is not None:
            return known
        bundle = read_bundle(registry.add(folder))
    _record_version(database, bundle, {"from": str(folder)})
    return bundle


def _find_equal(registry: Registry, bundle: Bundle) -> Bundle | None:
    """The version in the registry that has the same files."""
    versions = read_versions(registry).values()
    return next((each for each in versions if each and each.sha256 == bundle.sha256), None)


def _record_version(
    database: Database, bundle: Bundle, lineage: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Store a version as a candidate, unless it is stored already."""
    parent = None if bundle.lineage is None else bundle.lineage.parent
    row = ModelRow(bundle.fingerprint, bundle.folder.name, parent, CANDIDATE, dict(lineage))
    ModelStore(database).add(row)


def record_decision(
    registry: Registry, database: Database, decision: Decision, bundle: Bundle
) -> Path:
    """Store the gate's decision, and write it as a page in the registry; return the page.

    :param bundle: the candidate.
    :raises PatclassError: if it cannot be stored or written.
    """
    _record_version(database, bundle)
    state = CANDIDATE if decision.passed else REFUSED
    figures = decision.model_dump(mode="json")
    ModelStore(database).record_decision(decision.candidate, figures, state)
    page = registry.folder / DECISIONS / f"{bundle.folder.name}.html"
    with atomic_write(page) as partial:
        partial.write_text(html_decision(decision, bundle.lineage), encoding="utf-8")
    return page


def promote(
    registry: Registry, database: Database, bundle: Bundle, reason: str, over: Bundle | None = None
) -> None:
    """Make a version the champion.

    :param reason: for the record.
    :param over: the champion that it was compared with, if it was.
    :raises PatclassError: if the bundle does not verify, or cannot be written, or another version
        has become the champion meanwhile.
    """
    bundle.verify()
    _record_version(database, bundle)  # fails before anything changes if the store is unavailable
    registry.promote(bundle.folder.name, None if over is None else over.folder.name)
    _record_promotion(database, bundle, "promoted", reason)


def sync_champion(registry: Registry, database: Database) -> Bundle:
    """Record the registry's champion as champion in the store, and return it.

    They differ if the champion is older than the store, or a process died during a promotion.

    :raises PatclassError: if there is no champion, or the store cannot be used.
    """
    bundle = read_bundle(registry.champion())
    _record_version(database, bundle)
    states = {row.version: row.state for row in ModelStore(database).all()}
    if states[bundle.fingerprint] != CHAMPION:
        reason = "found as the champion of the registry; the reason was not recorded"
        _record_promotion(database, bundle, "promoted", reason)
    return bundle


def roll_back(registry: Registry, database: Database) -> Bundle:
    """Make the previous champion the champion again.

    :raises PatclassError: if there is none, or its bundle is missing or damaged.
    """
    bundle = read_bundle(registry.former())
    bundle.verify()
    _record_version(database, bundle)
    registry.roll_back(bundle.folder.name)
    _record_promotion(database, bundle, "rolled back", "requested")
    return bundle


def _record_promotion(database: Database, bundle: Bundle, kind: str, reason: str) -> None:
    ModelStore(database).promote(bundle.fingerprint)
    # A version may be promoted more than once, and each time is a separate event.
    key = f"{kind} {bundle.fingerprint} {secrets.token_hex(8)}"
    EventStore(database).add(kind, key, bundle.fingerprint, {"reason": reason})
