"""The loss over a tree, weights and draws of rows, against figures computed by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from patclass.data.examples import UNKNOWN_LABEL, Example
from patclass.training.loop import balanced, draw_texts, learning_rate, tree_loss


def test_the_learning_rate_rises_to_the_peak_and_falls_to_zero():
    rates = [learning_rate(step, 100, 1e-3, 0.1) for step in range(100)]
    assert rates[:10] == pytest.approx([1e-4 * n for n in range(1, 11)])
    assert rates[9] == max(rates)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-6


@given(st.integers(1, 500), st.floats(0, 0.99), st.data())
def test_the_learning_rate_stays_between_zero_and_the_peak(
    steps: int, warmup: float, data: st.DataObject
):
    step = data.draw(st.integers(0, steps - 1))
    assert 0 <= learning_rate(step, steps, 1.0, warmup) <= 1


quick = settings(deadline=None, max_examples=100)


def row(*leaves: int, tags: tuple[bool | None, ...] = ()) -> Example:
    return Example("P1", "text", (None,), leaves, tags)


def logs(*probabilities: float) -> list[float]:
    """Logits whose softmax is ``probabilities``."""
    return [math.log(p) for p in probabilities]


def loss_of(logits: list[list[float]], examples: list[Example], leaves: int) -> float:
    return tree_loss(torch.tensor(logits), examples, leaves).item()


def test_the_loss_of_a_known_leaf_is_its_negative_log_probability():
    assert loss_of([logs(0.1, 0.2, 0.3, 0.4)], [row(3)], 4) == pytest.approx(0.916291, abs=1e-5)


def test_the_loss_of_a_known_node_is_that_of_its_summed_probability():
    # 0.2 + 0.3 = 0.5 and -ln 0.5 = 0.693147
    assert loss_of([logs(0.1, 0.2, 0.3, 0.4)], [row(1, 2)], 4) == pytest.approx(0.693147, abs=1e-5)


def test_a_row_without_a_label_has_no_loss():
    assert loss_of([logs(0.1, 0.2, 0.3, 0.4)], [row(0, 1, 2, 3)], 4) == pytest.approx(0, abs=1e-6)


def test_the_loss_of_a_batch_is_the_mean_over_its_rows():
    logits = [logs(0.1, 0.2, 0.3, 0.4), logs(0.7, 0.1, 0.1, 0.1), logs(0.25, 0.25, 0.25, 0.25)]
    # (-ln 0.5 - ln 0.7 - ln 0.25) / 3 = (0.693147 + 0.356675 + 1.386294) / 3
    assert loss_of(logits, [row(1, 2), row(0), row(3)], 4) == pytest.approx(0.812039, abs=1e-5)


def test_a_constant_added_to_all_leaves_changes_nothing():
    logits = [[value + 50 for value in logs(0.1, 0.2, 0.3, 0.4)]]
    assert loss_of(logits, [row(1, 2)], 4) == pytest.approx(0.693147, abs=1e-4)


def test_tags_add_the_mean_of_their_own_losses():
    # Positive at logit ln 3, where p = 3/4: -ln 0.75 = 0.287682.
    # Negative at the same logit: -ln 0.25 = 1.386294; their mean is 0.836988.
    logits = [[*logs(0.5, 0.5), math.log(3)], [*logs(0.5, 0.5), math.log(3)]]
    tagged = [row(0, tags=(True,)), row(1, tags=(False,))]
    assert loss_of(logits, tagged, 2) == pytest.approx(0.693147 + 0.836988, abs=1e-5)


def test_unknown_tags_are_ignored():
    logits = [[*logs(0.5, 0.5), math.log(3)], [*logs(0.5, 0.5), 100.0]]
    half = [row(0, tags=(True,)), row(1, tags=(None,))]
    assert loss_of(logits, half, 2) == pytest.approx(0.693147 + 0.287682, abs=1e-5)
    unknown = [row(0, tags=(None,)), row(1, tags=(None,))]
    assert loss_of(logits, unknown, 2) == pytest.approx(0.693147, abs=1e-5)


def test_two_tags_have_two_columns():
    # Tag 0 of row 0 at logit 0: ln 2 = 0.693147. Tag 1 of row 1 at ln 3: 0.287682.
    logits = [[0.0, 0.0, 0.0, 9.0], [0.0, 0.0, 9.0, math.log(3)]]
    examples = [row(0, tags=(False, None)), row(1, tags=(None, True))]
    expected = 0.693147 + (0.693147 + 0.287682) / 2
    assert loss_of(logits, examples, 2) == pytest.approx(expected, abs=1e-5)


def test_the_gradient_of_an_unknown_tag_is_zero():
    logits = torch.zeros(2, 3, requires_grad=True)
    tree_loss(logits, [row(0, tags=(None,)), row(1, tags=(True,))], 2).backward()
    assert logits.grad is not None
    assert logits.grad[0, 2] == 0
    assert logits.grad[1, 2] == pytest.approx(-0.5)  # σ(0) - 1, over one known tag


seeds = st.integers(0, 2**32 - 1)


def random_logits(seed: int, rows: int, columns: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, columns, generator=generator) * 5


@quick
@given(seeds, st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_with_one_level_the_loss_is_cross_entropy(seed: int, y_true: list[int]):
    logits = random_logits(seed, len(y_true), 5).requires_grad_()
    same = logits.detach().clone().requires_grad_()
    found = tree_loss(logits, [row(position) for position in y_true], 5)
    expected = cross_entropy(same, torch.tensor(y_true))
    torch.testing.assert_close(found, expected)
    found.backward()
    expected.backward()
    torch.testing.assert_close(logits.grad, same.grad)


@quick
@given(seeds, st.sets(st.integers(0, 5), min_size=1, max_size=6))
def test_a_known_node_has_the_log_loss_of_its_summed_probability(seed: int, leaves: set[int]):
    logits = random_logits(seed, 1, 6)
    expected = -logits.double().softmax(1)[0, sorted(leaves)].sum().log().item()
    found = tree_loss(logits, [row(*sorted(leaves))], 6).item()
    assert found == pytest.approx(expected, abs=1e-4, rel=1e-4)


@quick
@given(seeds, st.sets(st.integers(0, 5), min_size=1, max_size=5))
def test_a_step_raises_only_the_allowed_leaves(seed: int, leaves: set[int]):
    logits = random_logits(seed, 1, 6).div(5).requires_grad_()
    tree_loss(logits, [row(*sorted(leaves))], 6).backward()
    assert logits.grad is not None
    down = logits.grad[0] < 0  # a step goes against the gradient
    assert {leaf for leaf in range(6) if down[leaf]} == leaves
    # Leaves of one node are raised in proportion to their probability: none is preferred.
    p = logits.detach().softmax(1)[0]
    shares = logits.grad[0, sorted(leaves)] / p[sorted(leaves)]
    torch.testing.assert_close(shares, shares[:1].expand_as(shares), atol=1e-4, rtol=1e-4)


def test_far_apart_logits_stay_finite():
    logits = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    loss = tree_loss(logits, [row(1, 2)], 3)
    loss.backward()
    assert loss.item() == pytest.approx(1e4)
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def labelled(*y_true: int | None, weight: float = 1.0) -> Example:
    return Example("P1", "text", y_true, (0,), weight=weight)


def test_balanced_rows_of_every_label_weigh_the_same():
    # Four rows of two labels, 3 and 1: (4/2)/3 and (4/2)/1.
    rows = [labelled(0), labelled(0), labelled(0), labelled(1)]
    weights = [example.weight for example in balanced(rows, 1)]
    assert weights == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])
    half = [example.weight for example in balanced(rows, 0.5)]
    assert half == pytest.approx([math.sqrt(weight) for weight in weights])
    assert balanced(rows, 0) == rows


def test_a_balanced_weight_is_the_mean_over_the_levels_that_are_known():
    rows = [labelled(0, 0), labelled(0, 1), labelled(0, None), labelled(1, 1, weight=3.0)]
    # Level 0: 2/3 and 2. Level 1, three known rows of two labels: 3/2 and 3/4.
    expected = [(2 / 3 + 3 / 2) / 2, (2 / 3 + 3 / 4) / 2, 2 / 3, 3 * (2 + 3 / 4) / 2]
    assert [example.weight for example in balanced(rows, 1)] == pytest.approx(expected)


def test_a_row_without_a_label_keeps_its_weight_when_others_are_balanced():
    rows = [labelled(None), labelled(UNKNOWN_LABEL), labelled(0), labelled(1), labelled(1)]
    assert [example.weight for example in balanced(rows, 1)] == [1, 1, 1.5, 0.75, 0.75]


def test_texts_are_drawn_among_the_views_of_their_rows():
    rows = [Example("P", "text", (0,), (0,), views=("view",) * count) for count in (2, 0, 1)]
    places = [{0, 1, 2}, {3}, {4, 5}]
    rng = np.random.default_rng(0)
    draws = np.array([draw_texts(rows, 0.5, rng) for _ in range(2000)])
    assert [set(column) for column in draws.T] == places
    # Half of the draws are a view, each as likely: 0.25 each, and 0.5 of the only one.
    assert [np.mean(draws[:, 0] == place) for place in (1, 2)] == pytest.approx(
        [0.25] * 2, abs=0.03
    )
    assert np.mean(draws[:, 2] == 5) == pytest.approx(0.5, abs=0.03)


def test_without_dropout_of_fields_nothing_is_drawn():
    rows = [Example("P", "text", (0,), (0,), views=("view",)), Example("P", "text", (0,), (0,))]
    rng, same = np.random.default_rng(0), np.random.default_rng(0)
    assert draw_texts(rows, 0, rng) == [0, 2]
    assert rng.random() == same.random()
