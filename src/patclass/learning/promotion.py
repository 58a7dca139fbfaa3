"""How a candidate becomes the champion, and how the one before comes back.

The registry's pointer is what counts; the store keeps why it points where it does.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from patclass.bundle import Bundle, read_bundle
from patclass.bundle.registry import Registry
from patclass.core.errors import BundleError
from patclass.core.files import atomic_write
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
    found = [bundle for bundle in versions(registry).values() if bundle is not None]
    found = [bundle for bundle in found if bundle.fingerprint.startswith(wanted)]
    if len(found) != 1:
        raise BundleError(
            f"'{wanted}' is {'no' if not found else 'more than one'} version in "
            f"{registry.folder}; there are {', '.join(folders) or 'none'}."
        )
    return found[0]


def versions(registry: Registry) -> dict[Path, Bundle | None]:
    """All versions by their folders, oldest first; None for one that is damaged."""
    return {folder: _readable(folder) for folder in registry.folders()}


def _readable(folder: Path) -> Bundle | None:
    try:
        return read_bundle(folder)
    except BundleError:
        return None


def take_in(registry: Registry, database: Database, folder: Path) -> Bundle:
    """Copy a bundle from elsewhere into the registry, as a candidate, if it is not there yet.

    :raises BundleError: if it is damaged, or does not answer as it did when saved.
    """
    wanted = read_bundle(folder)
    for bundle in versions(registry).values():
        if bundle is not None and bundle.fingerprint == wanted.fingerprint:
            return bundle
    wanted.verify()
    bundle = read_bundle(registry.add(folder))
    _know(database, bundle, {"from": str(folder)})
    return bundle


def _know(
    database: Database, bundle: Bundle, facts: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Have the store know a version."""
    parent = None if bundle.lineage is None else bundle.lineage.parent
    row = ModelRow(bundle.fingerprint, bundle.folder.name, parent, CANDIDATE, dict(facts))
    ModelStore(database).add(row)


def record_decision(
    registry: Registry, database: Database, decision: Decision, bundle: Bundle
) -> Path:
    """Keep a decision in the store, and as a page beside the versions; return the page.

    :param bundle: the candidate.
    :raises PatclassError: if it cannot be kept.
    """
    _know(database, bundle)
    state = CANDIDATE if decision.passed else REFUSED
    facts = decision.model_dump(mode="json")
    ModelStore(database).record_decision(decision.candidate, facts, state)
    page = registry.folder / DECISIONS / f"{bundle.folder.name}.html"
    with atomic_write(page) as partial:
        partial.write_text(html_decision(decision, bundle.lineage), encoding="utf-8")
    return page


def promote(
    registry: Registry, database: Database, bundle: Bundle, why: str, over: Bundle | None = None
) -> None:
    """Make a version the champion.

    :param why: in words, for the record.
    :param over: the champion that it was compared with, if it was.
    :raises PatclassError: if it does not verify, or cannot be written, or another version has
        become the champion meanwhile.
    """
    bundle.verify()
    _know(database, bundle)  # a store that is away stops it here, before anything has changed
    registry.promote(bundle.folder.name, None if over is None else over.folder.name)
    _record(database, bundle, "promoted", why)


def acknowledge_champion(registry: Registry, database: Database) -> Bundle:
    """Have the store say what the pointer says; return the champion.

    They differ where a champion is older than the store, or where a process died between the two.

    :raises PatclassError: if there is no champion, or the store cannot be used.
    """
    bundle = read_bundle(registry.champion())
    _know(database, bundle)
    states = {row.version: row.state for row in ModelStore(database).all()}
    if states[bundle.fingerprint] != CHAMPION:
        _record(database, bundle, "promoted", "found to be the champion; how is not on record")
    return bundle


def roll_back(registry: Registry, database: Database) -> Bundle:
    """Make the champion before this one the champion again.

    :raises PatclassError: if there was none, or it is gone or damaged.
    """
    bundle = read_bundle(registry.former())
    bundle.verify()
    _know(database, bundle)
    registry.roll_back(bundle.folder.name)
    _record(database, bundle, "rolled back", "asked for")
    return bundle


def _record(database: Database, bundle: Bundle, kind: str, why: str) -> None:
    ModelStore(database).promote(bundle.fingerprint)
    # The same version may come back: each time is an event of its own.
    key = f"{kind} {bundle.fingerprint} {secrets.token_hex(8)}"
    EventStore(database).add(kind, key, bundle.fingerprint, {"why": why})
