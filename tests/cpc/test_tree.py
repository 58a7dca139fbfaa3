"""A handmade tree: five leaves, two of them for rare codes."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from patclass.core.errors import DataError
from patclass.core.types import FloatArray, softmax
from patclass.cpc.levels import SUBCLASS_DEPTH
from patclass.cpc.scheme import SECTIONS
from patclass.cpc.symbols import LEVELS as ALL_LEVELS
from patclass.cpc.symbols import Symbol
from patclass.cpc.tree import Label, LabelSet, LabelTree, Path, common_path


def test_codes_keep_their_order_and_cpc_codes_get_titles():
    labels = LabelSet.of_codes(["H", "A61", "A", "A61Z", "pumps"])
    assert labels.codes == ["H", "A61", "A", "A61Z", "pumps"]
    assert [label.name for label in labels] == [
        "Electricity",
        "Medical or veterinary science; hygiene",
        "Human necessities",
        "A61Z",
        "pumps",
    ]


def test_codes_and_positions_map_to_each_other():
    labels = LabelSet.of_codes(["H", "A61", "A"])
    assert len(labels) == 3
    assert [labels.index(labels[position].code) for position in range(3)] == [0, 1, 2]
    assert labels[1] == Label("A61", "Medical or veterinary science; hygiene")


def test_only_codes_of_the_set_are_in_it():
    labels = LabelSet.of_codes(["H", "A61"])
    assert "A61" in labels
    assert "A" not in labels
    with pytest.raises(KeyError):
        labels.index("A")


def test_duplicate_codes_are_refused():
    with pytest.raises(DataError, match=r"a label occurs twice among \['A', 'B', 'A'\]"):
        LabelSet.of_codes(["A", "B", "A"])


def test_section_names_become_letters_in_the_given_order():
    names = ["Physics", "General tagging of new technology", "Textiles; paper", "human necessities"]
    labels = LabelSet.of_names(names)
    assert labels.codes == ["G", "Y", "D", "A"]
    assert [label.name for label in labels] == [SECTIONS[code] for code in "GYDA"]


@pytest.mark.parametrize(
    "names",
    [
        ["World", "Sports", "Business"],
        ["Physics", "Sports"],
        ["Human necessities", "Human Resources"],
    ],
)
def test_names_that_are_not_distinct_sections_are_unchanged(names: list[str]):
    labels = LabelSet.of_names(names)
    assert [(label.code, label.name) for label in labels] == [(name, name) for name in names]


def test_label_sets_are_equal_only_in_the_same_order():
    assert LabelSet.of_codes(["A", "B"]) == LabelSet.of_codes(["A", "B"])
    assert LabelSet.of_codes(["A", "B"]) != LabelSet.of_codes(["B", "A"])


LEVELS = ALL_LEVELS[:SUBCLASS_DEPTH]

quick = settings(deadline=None, max_examples=150)

# A61P, G06 and G06F have one row only; one row each is known only to be in H and in H04.
CODES = [
    *("A61K", "A61K", "A61K", "A61P", "A01B", "A01B"),
    *("H04L", "H04L", "H04L", "H04", "H", "G06F"),
]
PATHS = (
    ("A", "A01", "A01B"),
    ("A", "A61"),
    ("A", "A61", "A61K"),
    ("G",),
    ("H", "H04", "H04L"),
)


@pytest.fixture
def tree() -> LabelTree:
    return LabelTree.of_cpc(CODES, 2)


def path_of(code: str) -> Path:
    symbol = Symbol.parse(code)
    assert symbol is not None
    return symbol.path[:SUBCLASS_DEPTH]


# Building


def test_rare_codes_are_folded_into_an_other_leaf_of_their_parent(tree: LabelTree):
    assert tree.paths == PATHS
    assert tree.levels == LEVELS
    assert tree.at("section").codes == ["A", "G", "H"]
    assert tree.at("class").codes == ["A01", "A61", "H04"]
    assert tree.at("subclass").codes == ["A01B", "A61K", "H04L"]


def test_without_lists_of_codes_there_are_leaves_only(tree: LabelTree):
    assert (tree.outputs, tree.nodes) == (5, ())
    assert tree.finest == "subclass"


def test_labels_have_the_titles_of_the_scheme(tree: LabelTree):
    names = {label.code: label.name for level in LEVELS for label in tree.at(level)}
    assert names == tree.names
    assert names["A61"] == "Medical or veterinary science; hygiene"
    assert names["G"] == "Physics"


def test_without_rare_codes_there_is_no_other_leaf():
    paths = LabelTree.of_cpc(CODES, 1).paths
    assert paths == (
        ("A", "A01", "A01B"),
        ("A", "A61", "A61K"),
        ("A", "A61", "A61P"),
        ("G", "G06", "G06F"),
        ("H", "H04", "H04L"),
    )


def test_a_section_is_never_folded_however_rare():
    assert LabelTree.of_cpc(CODES, 100).paths == (("A",), ("G",), ("H",))


def test_a_class_without_known_subclasses_is_a_leaf():
    assert LabelTree.of_cpc(["A61", "A61", "H04L", "H04L"], 2).paths == (
        ("A", "A61"),
        ("H", "H04", "H04L"),
    )


def test_the_order_of_the_rows_does_not_matter(tree: LabelTree):
    assert LabelTree.of_cpc(CODES[::-1], 2) == tree


def test_groups_and_lower_case_symbols_map_to_the_same_code():
    codes = [path_of(text)[-1] for text in ("A61K 31/00", "a61k", "A61K8/00", "H04L 9/32")]
    assert LabelTree.of_cpc(codes, 1).at("subclass").codes == ["A61K", "H04L"]


def test_an_unknown_level_is_a_key_error(tree: LabelTree):
    with pytest.raises(KeyError, match="group"):
        tree.at("group")


# Nodes

A61K, A61P, H04L, Y02E = (path_of(code) for code in ("A61K", "A61P", "H04L", "Y02E"))


@pytest.fixture
def carrying() -> LabelTree:
    """Four rows with lists: A61K and Y02E are carried twice, A61P and H04L once."""
    return LabelTree.of_cpc(CODES, 2, [(A61K, A61P), (A61K, Y02E), (Y02E,), (H04L,)])


def test_codes_that_rows_carry_often_enough_are_nodes(carrying: LabelTree):
    assert carrying.nodes == (
        *(("A",), ("A", "A61"), A61K),
        *(("Y",), ("Y", "Y02"), Y02E),
    )
    assert carrying.outputs == len(PATHS) + 6
    assert carrying.output_codes[-1] == "Y02E"
    assert carrying.names["Y02E"].startswith("Reduction of greenhouse gas")
    assert carrying.paths == PATHS  # no leaf is of section Y


def test_nodes_know_their_parents(carrying: LabelTree):
    assert carrying.node_parents.tolist() == [-1, 0, 1, -1, 3, 4]
    assert carrying.node_depths.tolist() == [0, 1, 2, 0, 1, 2]


def test_codes_are_carried_with_their_ancestors(carrying: LabelTree):
    assert carrying.nodes_on([Y02E]) == (3, 4, 5)
    assert carrying.nodes_on([A61P, H04L]) == (0, 1)  # the others are no nodes
    assert carrying.nodes_on([]) == ()


def test_joint_probabilities_are_products_down_the_tree(carrying: LabelTree):
    given_parents = np.array([[0.5, 0.5, 0.5, 1, 0.2, 0.1]], dtype=np.float32)
    found = carrying.joint(given_parents)
    np.testing.assert_allclose(found, [[0.5, 0.25, 0.125, 1, 0.2, 0.02]], atol=1e-6)
    assert given_parents[0, 1] == 0.5  # the argument is left alone


def test_a_tree_with_nodes_is_read_back(carrying: LabelTree):
    assert LabelTree.parse(json.loads(json.dumps(carrying.dump()))) == carrying


# Groups


def test_groups_need_rows_enough():
    deep = (*A61K, "A61K31/00", "A61K31/7036")
    codes = ["A61K31/7036"] * 3 + ["A61K31/00"] * 2 + ["A61K9/10"] * 2 + ["H04L9/00"]
    tree = LabelTree.of_cpc(codes, 1, [[deep]] * 3, "subgroup", group_rows=3)
    assert tree.levels[2:] == ("subclass", "main_group", "subgroup")
    main_group = (*A61K, "A61K31/00")
    assert tree.paths == (A61K, main_group, (*main_group, "A61K31/7036"), H04L)
    assert tree.nodes[-1] == (*main_group, "A61K31/7036")
    assert tree.leaves_below((*A61K, "A61K9/00", "A61K9/10")) == (0,)
    assert tree.leaves_below(main_group) == (1, 2)
    assert tree.names["A61K31/00"].startswith("Medicinal preparations")
    shallow = LabelTree.of_cpc(codes, 1, (), "main_group", group_rows=3)
    assert shallow.paths == (A61K, main_group, H04L)


def test_nodes_are_no_deeper_than_the_main_codes():
    group = (*A61K, "A61K31/00")
    tree = LabelTree.of_cpc(["A61K"] * 5, 2, [[group]] * 5, "subgroup", group_rows=3)
    assert tree.levels == ("section", "class", "subclass")
    assert tree.nodes == (("A",), ("A", "A61"), A61K)
    assert LabelTree.parse(json.loads(json.dumps(tree.dump()))) == tree


# Flat sets


def test_a_flat_set_is_a_tree_of_one_level():
    labels = LabelSet.of_codes(["H", "A61", "A"])
    tree = LabelTree.flat(labels, "section")
    assert tree.levels == ("section",)
    assert tree.finest == "section"
    assert tree.at("section") == labels
    assert not tree.overlapping
    assert tree.paths == (("H",), ("A61",), ("A",))
    assert (tree.outputs, tree.nodes) == (3, ())
    assert [group.tolist() for group in tree.groups] == [[0, 1, 2]]


def test_the_sums_of_a_flat_set_are_the_probabilities_themselves():
    tree = LabelTree.flat(LabelSet.of_codes("AB"))
    probabilities = np.array([[0.25, 0.75], [1, 0]], dtype=np.float32)
    np.testing.assert_array_equal(tree.sums(probabilities, "label"), probabilities)
    assert [tree.leaves_below((code,)) for code in "ABC"] == [(0,), (1,), ()]


# Sums


def test_sums_over_levels_by_hand(tree: LabelTree):
    leaves = np.array([[0.1, 0.2, 0.3, 0.15, 0.25], [0, 1, 0, 0, 0]], dtype=np.float32)
    for level, expected in (
        ("section", [[0.6, 0.15, 0.25], [1, 0, 0]]),
        ("class", [[0.1, 0.5, 0.25], [0, 1, 0]]),
        ("subclass", [[0.1, 0.3, 0.25], [0, 0, 0]]),
    ):
        found = tree.sums(leaves, level)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_leaves_are_grouped_by_their_codes_down_to_each_level(tree: LabelTree):
    assert [group.tolist() for group in tree.groups] == [
        [0, 0, 0, 1, 2],
        [0, 1, 1, 2, 3],
        [0, 1, 2, 3, 4],
    ]


some_codes = st.lists(
    st.builds(
        lambda section, number, letter, end: f"{section}0{number}{letter}"[:end],
        st.sampled_from("ABH"),
        st.integers(1, 3),
        st.sampled_from("BKL"),
        st.sampled_from([1, 3, 4, 4, 4]),
    ),
    min_size=1,
    max_size=60,
)


def leaf_probabilities(tree: LabelTree, seed: int) -> FloatArray:
    logits = np.random.default_rng(seed).normal(0, 3, (4, len(tree.paths)))
    return softmax(logits.astype(np.float32))


@quick
@example(CODES, 2, 0)
@given(some_codes, st.integers(1, 5), st.integers(0, 1000))
def test_probabilities_of_levels_are_consistent(codes: list[str], least: int, seed: int):
    """The probability of a label is the sum over its children and its own "other"."""
    tree = LabelTree.of_cpc(codes, least)
    leaves = leaf_probabilities(tree, seed)
    np.testing.assert_allclose(tree.sums(leaves, "section").sum(axis=1), 1, atol=1e-5)
    for upper, lower in pairwise(tree.levels):
        above, below = tree.sums(leaves, upper), tree.sums(leaves, lower)
        depth = LEVELS.index(lower)
        for position, label in enumerate(tree.at(upper)):
            other = [n for n, path in enumerate(tree.paths) if path == path_of(label.code)]
            children = [
                n
                for n, child in enumerate(tree.at(lower))
                if path_of(child.code)[depth - 1] == label.code
            ]
            total = below[:, children].sum(axis=1) + leaves[:, other].sum(axis=1)
            np.testing.assert_allclose(total, above[:, position], atol=1e-5)
            assert (below[:, children] <= above[:, [position]] + 1e-6).all()


@quick
@given(some_codes, st.integers(1, 5))
def test_a_code_with_enough_rows_is_a_label(codes: list[str], least: int):
    tree = LabelTree.of_cpc(codes, least)
    for depth, level in enumerate(LEVELS):
        rows = [path_of(code)[depth] for code in codes if len(path_of(code)) > depth]
        enough = {code for code in rows if level == "section" or rows.count(code) >= least}
        assert (set(tree.at(level).codes) if level in tree.levels else set()) == enough
    assert len(set(tree.paths)) == len(tree.paths)


@quick
@given(some_codes, st.integers(1, 5))
def test_every_row_has_leaves_that_agree_with_its_code(codes: list[str], least: int):
    tree = LabelTree.of_cpc(codes, least)
    used: set[int] = set()
    for code in codes:
        path = path_of(code)
        leaves = tree.leaves_below(path)
        assert leaves
        depths = range(1, min(len(path), len(tree.levels)) + 1)
        depth = max(d for d in depths if path[d - 1] in tree.at(tree.levels[d - 1]))
        assert all(tree.paths[leaf][:depth] == path[:depth] for leaf in leaves)
        if depth < len(path):  # folded: "other" is the only leaf
            assert [tree.paths[leaf] for leaf in leaves] == [path[:depth]]
        used.update(leaves)
    assert used == set(range(len(tree.paths)))


# Leaves of a path


@pytest.mark.parametrize(
    ("path", "leaves"),
    [
        (("A", "A61", "A61K"), (2,)),
        (("A", "A61"), (1, 2)),
        (("A",), (0, 1, 2)),
        (("G",), (3,)),
        (("H", "H04"), (4,)),
    ],
)
def test_a_known_path_has_all_leaves_below_it(tree: LabelTree, path: Path, leaves: tuple[int, ...]):
    assert tree.leaves_below(path) == leaves


@pytest.mark.parametrize(
    ("path", "leaves"),
    [
        (("A", "A61", "A61P"), (1,)),
        (("G", "G06", "G06F"), (3,)),
        (("G", "G06"), (3,)),
        (("G", "G99", "G99Z"), (3,)),
    ],
)
def test_a_folded_path_has_the_other_leaf_of_its_parent(
    tree: LabelTree, path: Path, leaves: tuple[int, ...]
):
    assert tree.leaves_below(path) == leaves


@pytest.mark.parametrize(
    ("path", "leaves"),
    [
        (("A", "A99", "A99Z"), (0, 1, 2)),
        (("A", "A99"), (0, 1, 2)),
        (("H", "H04", "H04W"), (4,)),
    ],
)
def test_an_unseen_path_without_an_other_leaf_has_all_leaves_of_its_known_prefix(
    tree: LabelTree, path: Path, leaves: tuple[int, ...]
):
    assert tree.leaves_below(path) == leaves


@pytest.mark.parametrize("path", [("B", "B01", "B01D"), ("B",), ()])
def test_an_unknown_path_has_no_leaves(tree: LabelTree, path: Path):
    assert tree.leaves_below(path) == ()


# Paths


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("A61K 31/00", ("A", "A61", "A61K")),
        ("a61k", ("A", "A61", "A61K")),
        ("H04", ("H", "H04")),
        ("G", ("G",)),
    ],
)
def test_the_path_of_a_symbol_ends_at_its_own_level(text: str, path: Path):
    assert path_of(text) == path


@pytest.mark.parametrize(
    ("paths", "shared"),
    [
        ([("A", "A61", "A61K"), ("A", "A61", "A61P")], ("A", "A61")),
        ([("A", "A61", "A61K"), ("A",)], ("A",)),
        ([("A", "A61"), ("A", "A61")], ("A", "A61")),
        ([("A", "A61"), ("H", "H04")], ()),
        ([("A",), ()], ()),
        ([], ()),
    ],
)
def test_the_common_prefix_of_paths(paths: list[Path], shared: Path):
    assert common_path(paths) == shared


def test_labels_overlap_where_none_of_those_carried_is_the_main_one():
    flat = LabelTree.flat(LabelSet.of_codes("AB"))
    assert not flat.overlapping
    assert replace(flat, nodes=flat.paths).overlapping
    sections = LabelTree.of_cpc(["A61K", "H04L"], 1, [(A61K, H04L)], "section")
    assert sections.nodes == (("A",), ("H",))
    assert not sections.overlapping
