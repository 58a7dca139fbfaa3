"""The loss over a tree, weights and draws of rows, against figures computed by hand."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from patclass.cpc.tree import LabelTree, Path
from patclass.data.examples import UNKNOWN_LABEL, Example
from patclass.training.loss import CODES_WEIGHT, balanced, tree_loss

quick = settings(deadline=None, max_examples=100)


def row(*leaves: int, carried: tuple[int, ...] | None = None) -> Example:
    return Example("P1", "text", (None,), leaves, carried)


def flat(leaves: int, nodes: tuple[Path, ...] = ()) -> LabelTree:
    names = {code: code for path in nodes for code in path}
    paths = tuple((f"L{leaf}",) for leaf in range(leaves))
    levels = ("section", "class")[: max((len(path) for path in nodes), default=1)]
    return LabelTree(levels, paths, names | {code: code for (code,) in paths}, nodes)


def logs(*probabilities: float) -> list[float]:
    """Logits whose softmax is ``probabilities``."""
    return [math.log(p) for p in probabilities]


def loss_of(logits: list[list[float]], examples: list[Example], leaves: int) -> float:
    return tree_loss(torch.tensor(logits), examples, flat(leaves)).item()


def test_the_loss_of_a_known_leaf_is_its_negative_log_probability():
    assert loss_of([logs(0.1, 0.2, 0.3, 0.4)], [row(3)], 4) == pytest.approx(0.916291, abs=1e-5)


def test_the_loss_of_a_known_node_is_that_of_its_summed_probability():
    # 0.2 + 0.3 = 0.5 and -ln 0.5 = 0.693147
    assert loss_of([logs(0.1, 0.2, 0.3, 0.4)], [row(1, 2)], 4) == pytest.approx(0.693147, abs=1e-5)


def test_a_row_without_a_label_has_no_loss():
    assert loss_of([logs(0.1, 0.2, 0.3, 0.4)], [row(0, 1, 2, 3)], 4) == pytest.approx(0, abs=1e-6)


def test_a_teacher_takes_a_share_of_the_loss():
    logits, soft = torch.tensor([logs(0.1, 0.2, 0.7)]), torch.tensor([[0.5, 0.5, 0.0]])
    # labels: -ln 0.7 = 0.356675; teacher: -(ln 0.1 + ln 0.2) / 2 = 1.956012
    for share, expected in ((0.25, 0.756509), (1.0, 1.956012)):
        found = tree_loss(logits, [row(2)], flat(3), soft, share).item()
        assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("parts", [[(0, 1), (2,)], [(0, 2), (1,)], [(0,), (1,), (2,)]])
def test_the_losses_of_the_parts_of_a_batch_add_up_to_that_of_all(parts: list[tuple[int, ...]]):
    tree = flat(3, (("L0",), ("L1",), ("N",)))
    examples = [row(0, carried=(0, 2)), replace(row(1), weight=2.5), row(1, 2, carried=(1,))]
    logits = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    soft = torch.tensor([[0.5, 0.5, 0.0], [0.2, 0.2, 0.6], [0.0, 1.0, 0.0]])
    whole = tree_loss(logits, examples, tree, soft, 0.3)
    found = sum(
        tree_loss(logits[[*part]], [examples[i] for i in part], tree, soft[[*part]], 0.3, examples)
        for part in parts
    )
    torch.testing.assert_close(found, whole)


def test_a_teacher_that_says_the_same_has_no_gradient():
    logits = torch.tensor([logs(0.1, 0.2, 0.7)], requires_grad=True)
    tree_loss(logits, [row(2)], flat(3), torch.tensor([[0.1, 0.2, 0.7]]), 1.0).backward()
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-6


def test_the_loss_of_a_batch_is_the_mean_over_its_rows():
    logits = [logs(0.1, 0.2, 0.3, 0.4), logs(0.7, 0.1, 0.1, 0.1), logs(0.25, 0.25, 0.25, 0.25)]
    # (-ln 0.5 - ln 0.7 - ln 0.25) / 3 = (0.693147 + 0.356675 + 1.386294) / 3
    assert loss_of(logits, [row(1, 2), row(0), row(3)], 4) == pytest.approx(0.812039, abs=1e-5)


def test_a_constant_added_to_all_leaves_changes_nothing():
    logits = [[value + 50 for value in logs(0.1, 0.2, 0.3, 0.4)]]
    assert loss_of(logits, [row(1, 2)], 4) == pytest.approx(0.693147, abs=1e-4)


# Two sections, the first with two classes.
NODES = (("A",), ("A", "A01"), ("A", "A61"), ("H",))


def codes_loss_of(logits: list[list[float]], *carried: tuple[int, ...] | None) -> float:
    """The loss of all codes, where the leaves have a loss of ln 2 each."""
    padded = torch.tensor([[0.0, 0.0, *row] for row in logits])
    found = tree_loss(padded, [row(0, carried=codes) for codes in carried], flat(2, NODES))
    return (found.item() - math.log(2)) / CODES_WEIGHT


def test_each_code_is_asked_below_a_carried_parent_only():
    # A carried at ln 3: -ln 0.75 = 0.287682; A01 carried at 0: ln 2 = 0.693147; A61 not carried
    # at ln 3: -ln 0.25 = 1.386294; H not carried at 0: 0.693147.
    logits = [[math.log(3), 0.0, math.log(3), 0.0]]
    assert codes_loss_of(logits, (0, 1)) == pytest.approx(3.060270, abs=1e-5)
    # Without A, its classes are not asked: -ln 0.25 for A, ln 2 for H.
    assert codes_loss_of(logits, (3,)) == pytest.approx(1.386294 + 0.693147, abs=1e-5)


def test_the_loss_of_all_codes_is_the_mean_over_the_rows_that_know_them():
    logits = [[math.log(3), 0.0, 0.0, 0.0], [9.0, 9.0, 9.0, 9.0], [0.0, 50.0, 50.0, 0.0]]
    # Row 0 carries nothing: 1.386294 + 0.693147. Row 2 carries H: 2 · 0.693147.
    found = codes_loss_of(logits, (), None, (3,))
    assert found == pytest.approx((1.386294 + 0.693147 + 2 * 0.693147) / 2, abs=1e-5)


def test_rows_that_do_not_know_their_codes_have_no_loss_of_them():
    assert codes_loss_of([[5.0, 5.0, 5.0, 5.0]], None) == pytest.approx(0, abs=1e-5)


def test_what_is_not_asked_has_no_gradient():
    logits = torch.zeros(2, 6, requires_grad=True)
    examples = [row(0, carried=(3,)), row(1)]
    tree_loss(logits, examples, flat(2, NODES)).backward()
    assert logits.grad is not None
    assert not logits.grad[0, 3:5].any()
    assert not logits.grad[1, 2:].any()
    assert logits.grad[0, 5] == pytest.approx(-0.5 * CODES_WEIGHT)  # σ(0) - 1


seeds = st.integers(0, 2**32 - 1)


def random_logits(seed: int, rows: int, columns: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, columns, generator=generator) * 5


@quick
@given(seeds, st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_with_one_level_the_loss_is_cross_entropy(seed: int, y_true: list[int]):
    logits = random_logits(seed, len(y_true), 5).requires_grad_()
    same = logits.detach().clone().requires_grad_()
    found = tree_loss(logits, [row(position) for position in y_true], flat(5))
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
    found = tree_loss(logits, [row(*sorted(leaves))], flat(6)).item()
    assert found == pytest.approx(expected, abs=1e-4, rel=1e-4)


@quick
@given(seeds, st.sets(st.integers(0, 5), min_size=1, max_size=5))
def test_a_step_raises_only_the_allowed_leaves(seed: int, leaves: set[int]):
    logits = random_logits(seed, 1, 6).div(5).requires_grad_()
    tree_loss(logits, [row(*sorted(leaves))], flat(6)).backward()
    assert logits.grad is not None
    down = logits.grad[0] < 0  # a step goes against the gradient
    assert {leaf for leaf in range(6) if down[leaf]} == leaves
    # Leaves of one node are raised in proportion to their probability: none is preferred.
    p = logits.detach().softmax(1)[0]
    shares = logits.grad[0, sorted(leaves)] / p[sorted(leaves)]
    torch.testing.assert_close(shares, shares[:1].expand_as(shares), atol=1e-4, rtol=1e-4)


def test_far_apart_logits_stay_finite():
    logits = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    loss = tree_loss(logits, [row(1, 2)], flat(3))
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
