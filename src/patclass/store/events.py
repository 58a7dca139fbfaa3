"""What happened: alarms, trainings, promotions. Knows rows, not what they mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from patclass.store.database import Database
from patclass.store.insert import insert_new
from patclass.store.tables import events

# Of this kind are windows of answers that have shifted.
ALARM = "alarm"


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
