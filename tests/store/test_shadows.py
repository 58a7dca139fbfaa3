"""What a shadow would have answered, on both databases."""

from patclass.store.database import Database
from patclass.store.predictions import PredictionStore
from patclass.store.shadows import disagreement
from store_rows import ID, prediction


def test_a_shadow_is_compared_with_what_was_answered(database: Database):
    live = [prediction(n, label="A" if n < 6 else "B") for n in range(10)]
    shadow = [
        prediction(100 + n, version="v2", shadow_of=ID(n), label="A" if n < 8 else "C")
        for n in range(10)
    ]
    PredictionStore(database).add([*live, *shadow])
    found = disagreement(database, "v2")
    assert (found.rows, found.differ) == (10, 4)
    assert found.pairs == (("B", "A", 2), ("B", "C", 2))
    assert found.text().startswith("in the shadow: 4 of 10 answers differ (40.0%)\n  B became A: 2")


def test_without_a_shadow_nothing_differs(database: Database):
    PredictionStore(database).add([prediction(1)])
    assert disagreement(database, "v2").rows == 0
