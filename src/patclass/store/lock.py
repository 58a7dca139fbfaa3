"""One text at a time, whoever works on it. Knows no tables."""

from collections.abc import Iterable
from hashlib import sha256

from sqlalchemy import Connection, text


def lock_texts(connection: Connection, hashes: Iterable[str | None]) -> None:
    """Have other writers who work on these texts wait until this transaction ends.

    SQLite has one writer at a time by itself. In PostgreSQL two transactions do not see each
    other's new rows: each of two verdicts that disagree would find no other.

    :param hashes: of the texts; None for one that is not known.
    """
    if connection.dialect.name != "postgresql":
        return
    # In one order everywhere, so that nobody waits for somebody who waits for them.
    for each in sorted({each for each in hashes if each}):
        number = int.from_bytes(sha256(each.encode()).digest()[:7])
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})
