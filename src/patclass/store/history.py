"""The tables of model versions and of events. Knows rows only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select, update

from patclass.store.database import Database, insert_if_absent
from patclass.store.tables import events, models

# Kind of the event that a window of predictions has drifted.
ALERT = "alert"


@dataclass(frozen=True)
class Event:
    """Something that happened.

    :param key: identifies the event; an event is stored once, whichever process reports it.
    :param version: of the model concerned.
    """

    kind: str
    key: str
    version: str | None
    details: Mapping[str, Any]
    created: datetime


class EventStore:
    """Events in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, kind: str, key: str, version: str | None, details: Mapping[str, Any]) -> bool:
        """Store an event; False if its key is stored already.

        :raises StoreError: if it cannot be stored.
        """
        row = vars(Event(kind, key, version, dict(details), datetime.now(UTC)))
        with self._database.write() as connection:
            return insert_if_absent(connection, events, "key", row)

    def latest(
        self, kind: str | None = None, version: str | None = None, count: int = 100
    ) -> list[Event]:
        """The latest events, newest first.

        :param kind: only of this kind.
        :param version: only about this model.
        :raises StoreError: if they cannot be read.
        """
        query = select(*(events.c[name] for name in Event.__dataclass_fields__))
        if kind is not None:
            query = query.where(events.c.kind == kind)
        if version is not None:
            query = query.where(events.c.version == version)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(events.c.number.desc()).limit(count))
            return [Event(**row) for row in rows.mappings()]


CANDIDATE, CHAMPION, RETIRED, REFUSED = "candidate", "champion", "retired", "refused"


@dataclass(frozen=True)
class ModelRow:
    """A version of a model.

    :param folder: its name in the registry.
    :param parent: the version that it was fine-tuned from.
    :param lineage: the data and feedback that it was trained on.
    :param decision: the gate's decision with its figures; None if it was not evaluated.
    """

    version: str
    folder: str
    parent: str | None
    state: str
    lineage: Mapping[str, Any] = field(default_factory=dict)
    decision: Mapping[str, Any] | None = None
    created: datetime = field(default_factory=lambda: datetime.now(UTC))


class ModelStore:
    """Model versions in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, row: ModelRow) -> bool:
        """Store a version; False if it is stored already.

        :raises StoreError: if it cannot be stored.
        """
        with self._database.write() as connection:
            return insert_if_absent(connection, models, "version", vars(row))

    def all(self) -> list[ModelRow]:
        """All versions, oldest first.

        :raises StoreError: if they cannot be read.
        """
        query = select(*(models.c[name] for name in ModelRow.__dataclass_fields__))
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(models.c.number)).mappings()
            return [ModelRow(**row) for row in rows]

    def record_decision(self, version: str, decision: Mapping[str, Any], state: str) -> None:
        """Store the gate's decision; the state changes only of a version never promoted.

        :raises StoreError: if it cannot be stored.
        """
        with self._database.write() as connection:
            statement = update(models).where(models.c.version == version)
            connection.execute(statement.values(decision=dict(decision)))
            never_promoted = models.c.state.in_((CANDIDATE, REFUSED))
            connection.execute(statement.where(never_promoted).values(state=state))

    def promote(self, version: str) -> None:
        """Make a version the champion; the current champion retires.

        :raises StoreError: if it cannot be stored.
        """
        with self._database.write() as connection:
            retire = update(models).where(models.c.state == CHAMPION).values(state=RETIRED)
            connection.execute(retire)
            promoted = update(models).where(models.c.version == version).values(state=CHAMPION)
            connection.execute(promoted)
