"""Events and models, on both databases."""

from patclass.store.database import Database
from patclass.store.history import (
    CANDIDATE,
    CHAMPION,
    REFUSED,
    RETIRED,
    EventStore,
    ModelRow,
    ModelStore,
)


def test_an_event_is_stored_once(database: Database):
    store = EventStore(database)
    assert store.add("alert", "v1 1000", "v1", {"signal": "labels"})
    assert not store.add("alert", "v1 1000", "v1", {"signal": "labels"})
    assert store.add("promotion", "v2", "v2", {})
    assert [event.kind for event in store.latest()] == ["promotion", "alert"]
    assert store.latest("alert")[0].details == {"signal": "labels"}
    assert [event.kind for event in store.latest(count=1)] == ["promotion"]


def test_a_version_is_stored_once(database: Database):
    store = ModelStore(database)
    assert store.add(ModelRow("v1", "0001", None, CHAMPION, {"rows": 100}))
    assert not store.add(ModelRow("v1", "0002", None, CHAMPION))
    assert [(row.version, row.folder, row.lineage) for row in store.all()] == [
        ("v1", "0001", {"rows": 100})
    ]


def test_there_is_one_champion(database: Database):
    store = ModelStore(database)
    for number in (1, 2, 3):
        store.add(ModelRow(f"v{number}", f"{number:04}", None, CANDIDATE))
    store.promote("v1")
    store.promote("v2")
    store.record_decision("v3", {"passed": False}, REFUSED)
    assert [row.state for row in store.all()] == [RETIRED, CHAMPION, REFUSED]
    assert store.all()[2].decision == {"passed": False}
