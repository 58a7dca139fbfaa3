"""What it takes to classify so many documents by a deadline: machines, hours, memory, money.

Knows measured rates, no bundle.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from patclass.core.errors import ConfigError
from patclass.scale.rates import Rates

# Of the time until the deadline, this share is left free: for parts that are done again, for
# workers that wait at the end for the last one, for machines that come late (docs/scale.md).
RESERVE = 0.1


@dataclass(frozen=True)
class Price:
    """A machine that can be rented.

    :param cores: as the provider counts them.
    :param hourly: in whatever currency; None if it is not given.
    """

    name: str
    cores: int
    hourly: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Price":
        """``NAME=CORES`` or ``NAME=CORES:PRICE``, such as ``c3-standard-8=8:0.42``.

        :raises ConfigError: if it is neither.
        """
        name, equals, rest = text.partition("=")
        cores, colon, hourly = rest.partition(":")
        try:
            found = cls(name.strip(), int(cores), float(hourly) if colon else None)
        except ValueError:
            found = None
        valid = found is not None and equals and found.name and found.cores > 0
        if not valid or not 0 <= (found.hourly or 0) < math.inf:  # type: ignore[union-attr]
            raise ConfigError(
                f"machine {text!r}: expected NAME=CORES or NAME=CORES:PRICE, the price of an hour, "
                "such as c3-standard-8=8:0.42.",
                setting="machine",
            )
        assert found is not None
        return found


@dataclass(frozen=True)
class Need:
    """What a job takes on machines of one kind; ``low`` and ``high`` by the range of the rates.

    :param hours: from start to end, with that many machines.
    :param memory: bytes of each machine.
    :param cost: of all of them; None without a price.
    """

    machine: Price
    machines: int
    hours: float
    low: float
    high: float
    memory: int
    cost: float | None


def plan_capacity(
    rates: Rates, documents: float, tokens: float, deadline: float, machines: Sequence[Price]
) -> list[Need]:
    """What each kind of machine would take.

    All documents count as if they had the mean length. As time grows with length, and no more of
    a document is read than the bundle's limit, that is the true time or more.

    :param tokens: mean length of a document.
    :param deadline: seconds.
    :raises ConfigError: if the deadline is over before a worker has begun.
    """
    usable = deadline * (1 - RESERVE) - rates.start_seconds
    if usable <= 0:
        raise ConfigError(
            f"deadline: a worker alone takes {rates.start_seconds:.0f} s to start; allow more.",
            setting="deadline",
        )
    needs = []
    for machine in machines:
        seconds = documents * rates.seconds(tokens) / machine.cores
        count = max(1, math.ceil(seconds / usable))
        low, hours, high = (
            (documents * each / machine.cores / count / (1 - RESERVE) + rates.start_seconds) / 3600
            for each in (
                rates.seconds(tokens, "low"),
                rates.seconds(tokens),
                rates.seconds(tokens, "high"),
            )
        )
        cost = None if machine.hourly is None else machine.hourly * hours * count
        memory = machine.cores * rates.memory
        needs.append(Need(machine, count, hours, low, high, memory, cost))
    return needs
