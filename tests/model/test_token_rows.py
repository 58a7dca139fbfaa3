from pathlib import Path

import numpy as np
import pytest

from patclass.model import token_rows
from patclass.model.token_rows import TokenRows
from patclass.model.tokenizer import TextTokenizer
from tiny_parts import TEXTS


@pytest.mark.parametrize("chunk", [1, 2, 2048])
def test_rows_are_those_of_the_tokenizer(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
):
    monkeypatch.setattr(token_rows, "CHUNK", chunk)
    tokenizer = TextTokenizer.load(tiny_base, 64)
    expected = tokenizer.token_ids(TEXTS)
    rows = TokenRows(tokenizer, TEXTS)
    assert [row.tolist() for row in rows] == expected
    assert rows[1].tolist() == expected[1]
    assert rows.lengths.tolist() == [len(row) for row in expected]
    assert (len(rows), rows[0].dtype) == (3, np.int32)
    for found, padded in zip(tokenizer.pad(rows), tokenizer.pad(expected), strict=True):
        assert np.array_equal(found, padded)


def test_there_may_be_no_text(tiny_bert: Path):
    rows = TokenRows(TextTokenizer.load(tiny_bert, 64), [])
    assert (len(rows), list(rows)) == (0, [])
