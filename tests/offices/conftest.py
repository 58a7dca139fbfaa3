"""A server that stands for both offices."""

from collections.abc import Iterator

import pytest

from fake_offices import FakeOffice, fake_office


@pytest.fixture
def office() -> Iterator[FakeOffice]:
    with fake_office() as running:
        yield running
