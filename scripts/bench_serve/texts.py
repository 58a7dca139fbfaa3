"""Real patents to send to a server, from the shared test split."""

from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pyarrow.parquet as pq
from tokenizers import Tokenizer

PATENTS = Path(__file__).resolve().parents[2] / "build" / "patents"  # made by make
LONG = 256  # tokens, more than the shipped model reads


def plain_texts(limit: int | None = None) -> list[str]:
    """Title and abstract of every row, as they are: 150 tokens in the middle."""
    return [_short(row) for row in _rows()][:limit]


def long_texts(limit: int | None = None, tokens: int = LONG) -> list[str]:
    """Title, abstract and as much of claims and description as makes ``tokens``.

    Rows that have too little text are left out.
    """
    tokenizer = Tokenizer.from_file(str(resources.files("patclass") / "shipped/tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    made = (_made_long(row, tokens, tokenizer) for row in _rows())
    return [text for text in made if text][:limit]


def _rows() -> Iterator[dict[str, str | None]]:
    path = PATENTS / "patents-test.parquet"
    if not path.is_file():
        raise SystemExit(f"this benchmark needs the shared patents in {PATENTS}")
    columns = ["id", "title", "abstract", "claims", "description"]
    yield from sorted(pq.read_table(path, columns=columns).to_pylist(), key=lambda row: row["id"])


def _short(row: dict[str, str | None]) -> str:
    return ". ".join(part for part in (row["title"], row["abstract"]) if part)


def _made_long(row: dict[str, str | None], tokens: int, tokenizer: Tokenizer) -> str | None:
    short = _short(row)
    more = " ".join(part for part in (row["claims"], row["description"]) if part)
    # No more than is surely enough: descriptions average 7,000 words.
    text = f"{short} {more}"[: len(short) + 20 * tokens].strip()
    ends = [end for _, end in tokenizer.encode(text, add_special_tokens=False).offsets]
    if len(ends) < tokens:
        return None
    # A word is never cut; a text that is longer by itself stays as it is.
    cut = text.find(" ", ends[tokens - 1])
    return text if cut < 0 else text[: max(cut, len(short))]


if __name__ == "__main__":
    raise SystemExit(f"{len(plain_texts())} plain texts, {len(long_texts())} long ones")
