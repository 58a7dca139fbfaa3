import torch
from hypothesis import given
from hypothesis import strategies as st

from patclass.model.pooling import Pooling, pool


def padded(rows: list[list[float]], left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, rows))
    states = torch.full((len(rows), width, 1), 99.0)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for line, row in enumerate(rows):
        start = width - len(row) if left else 0
        states[line, start : start + len(row), 0] = torch.tensor(row)
        mask[line, start : start + len(row)] = 1
    return states, mask


rows_of_states = st.lists(
    st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=7), min_size=1, max_size=5
)


@given(rows_of_states, st.booleans())
def test_mean_is_over_real_tokens_whichever_side_is_padded(rows, left):
    states, mask = padded(rows, left)
    expected = torch.tensor([[sum(row) / len(row)] for row in rows])
    torch.testing.assert_close(pool(states, mask, Pooling.MEAN), expected, atol=1e-5, rtol=1e-5)


@given(rows_of_states, st.booleans())
def test_last_is_the_last_real_token_whichever_side_is_padded(rows, left):
    states, mask = padded(rows, left)
    assert pool(states, mask, Pooling.LAST)[:, 0].tolist() == [row[-1] for row in rows]


def test_result_is_float32_for_a_bfloat16_base():
    states, mask = padded([[1.0, 2.0]], left=False)
    for pooling in Pooling:
        assert pool(states.bfloat16(), mask, pooling).dtype == torch.float32
