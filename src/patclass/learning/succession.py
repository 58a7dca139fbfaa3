"""How a candidate becomes the champion, and how the one before comes back.

The registry's pointer is what counts; the store keeps why it points where it does.
"""

import secrets
from pathlib import Path

from patclass.bundle import Bundle, read_bundle
from patclass.bundle.registry import Registry
from patclass.errors import BundleError
from patclass.files import whole_file
from patclass.learning.gate import Decision
from patclass.learning.html import html_decision
from patclass.store.database import Database
from patclass.store.events import EventStore
from patclass.store.models import CANDIDATE, REFUSED, ModelRow, ModelStore

DECISIONS = "decisions"


def find_version(registry: Registry, wanted: str) -> Bundle:
    """A version by its folder's name or by the first digits of its version.

    :raises BundleError: if there is none, or several.
    """
    found = [
        bundle
        for bundle in map(read_bundle, registry.folders())
        if bundle.folder.name == wanted or bundle.fingerprint.startswith(wanted)
    ]
    if len(found) != 1:
        there = ", ".join(path.name for path in registry.folders()) or "none"
        raise BundleError(
            f"'{wanted}' is {'no' if not found else 'more than one'} version in "
            f"{registry.folder}; there are {there}."
        )
    return found[0]


def take_in(registry: Registry, database: Database, folder: Path) -> Bundle:
    """Copy a bundle from elsewhere into the registry, as a candidate.

    :raises BundleError: if it is damaged, or does not answer as it did when saved.
    """
    read_bundle(folder).verify()
    bundle = read_bundle(registry.add(folder))
    parent = read_bundle(registry.champion()).fingerprint if registry.exists else None
    row = ModelRow(bundle.fingerprint, bundle.folder.name, parent, CANDIDATE, {"from": str(folder)})
    ModelStore(database).add(row)
    return bundle


def record_decision(registry: Registry, database: Database, decision: Decision) -> Path:
    """Keep a decision in the store, and as a page beside the versions; return the page.

    :raises PatclassError: if it cannot be kept.
    """
    bundle = find_version(registry, decision.candidate)
    state = CANDIDATE if decision.passed else REFUSED
    facts = decision.model_dump(mode="json")
    ModelStore(database).decide(decision.candidate, facts, state)
    page = registry.folder / DECISIONS / f"{bundle.folder.name}.html"
    with whole_file(page) as aside:
        aside.write_text(html_decision(decision, bundle.lineage), encoding="utf-8")
    return page


def crown(registry: Registry, database: Database, bundle: Bundle, why: str) -> None:
    """Make a version the champion.

    :param why: in words, for the record.
    :raises PatclassError: if it does not verify, or cannot be written.
    """
    bundle.verify()
    registry.promote(bundle.folder.name)
    _record(database, bundle, "promoted", why)


def roll_back(registry: Registry, database: Database) -> Bundle:
    """Make the last champion the champion again.

    :raises PatclassError: if there was none, or it is gone.
    """
    bundle = read_bundle(registry.folder / registry.roll_back())
    _record(database, bundle, "rolled back", "asked for")
    return bundle


def _record(database: Database, bundle: Bundle, kind: str, why: str) -> None:
    models = ModelStore(database)
    models.add(ModelRow(bundle.fingerprint, bundle.folder.name, None, CANDIDATE))
    models.crown(bundle.fingerprint)
    # The same version may come back: each time is an event of its own.
    key = f"{kind} {bundle.fingerprint} {secrets.token_hex(8)}"
    EventStore(database).add(kind, key, bundle.fingerprint, {"why": why})
