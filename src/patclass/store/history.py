"""The versions of models and the events of the loop. Knows rows, not what they mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select, update

from patclass.store.database import Database, insert_new
from patclass.store.tables import events, models

# Of this kind are windows of answers that have shifted.
ALERT = "alert"


@dataclass(frozen=True)
class Event:
    """Something that happened.

    :param key: what makes it this event; it is kept once, whoever reports it.
    :param version: of the model that it is about.
    """

    kind: str
    key: str
    version: str | None
    facts: Mapping[str, Any]
    created: datetime


class EventStore:
    """The table of events."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, kind: str, key: str, version: str | None, facts: Mapping[str, Any]) -> bool:
        """Keep an event; False if it was known.

        :raises StoreError: if it cannot be kept.
        """
        row = vars(Event(kind, key, version, dict(facts), datetime.now(UTC)))
        with self._database.write() as connection:
            return insert_new(connection, events, "key", row)

    def latest(
        self, kind: str | None = None, version: str | None = None, count: int = 100
    ) -> list[Event]:
        """The last events, of one kind or about one model or all, newest first.

        :raises StoreError: if they cannot be read.
        """
        wanted = select(*(events.c[name] for name in Event.__dataclass_fields__))
        if kind is not None:
            wanted = wanted.where(events.c.kind == kind)
        if version is not None:
            wanted = wanted.where(events.c.version == version)
        with self._database.read() as connection:
            found = connection.execute(wanted.order_by(events.c.number.desc()).limit(count))
            return [Event(**row) for row in found.mappings()]


CANDIDATE, CHAMPION, RETIRED, REFUSED = "candidate", "champion", "retired", "refused"


@dataclass(frozen=True)
class ModelRow:
    """A version of a model.

    :param folder: its name in the registry.
    :param parent: the version that it was made from.
    :param lineage: what it has learnt from.
    :param decision: the figures by which it was let in or refused.
    """

    version: str
    folder: str
    parent: str | None
    state: str
    lineage: Mapping[str, Any] = field(default_factory=dict)
    decision: Mapping[str, Any] | None = None
    created: datetime = field(default_factory=lambda: datetime.now(UTC))


class ModelStore:
    """The table of models."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, row: ModelRow) -> bool:
        """Keep a version; False if it is known.

        :raises StoreError: if it cannot be kept.
        """
        with self._database.write() as connection:
            return insert_new(connection, models, "version", vars(row))

    def all(self) -> list[ModelRow]:
        """All versions, oldest first.

        :raises StoreError: if they cannot be read.
        """
        wanted = select(*(models.c[name] for name in ModelRow.__dataclass_fields__))
        with self._database.read() as connection:
            found = connection.execute(wanted.order_by(models.c.number)).mappings()
            return [ModelRow(**row) for row in found]

    def decide(self, version: str, decision: Mapping[str, Any], state: str) -> None:
        """Say by which figures a version was let in or refused; what has been champion stays so.

        :raises StoreError: if it cannot be kept.
        """
        with self._database.write() as connection:
            here = update(models).where(models.c.version == version)
            connection.execute(here.values(decision=dict(decision)))
            waits = models.c.state.in_((CANDIDATE, REFUSED))
            connection.execute(here.where(waits).values(state=state))

    def promote(self, version: str) -> None:
        """Make a version the champion; the one before retires.

        :raises StoreError: if it cannot be kept.
        """
        with self._database.write() as connection:
            retired = update(models).where(models.c.state == CHAMPION).values(state=RETIRED)
            connection.execute(retired)
            here = models.c.version == version
            connection.execute(update(models).where(here).values(state=CHAMPION))
