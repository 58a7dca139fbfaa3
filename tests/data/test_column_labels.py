"""Labels as they stand in a column, one a row or several."""

import pytest

from patclass.data.codes import UnusableRowError
from patclass.data.column_labels import RowLabel
from patclass.data.labels import label_scheme


def topics(cell: object, **options: bool) -> RowLabel:
    return label_scheme("topics", ["topics"], {}, **options).label_of({"topics": cell})


def test_a_list_of_labels_is_recognised():
    both = topics(["pumps", "valves"])
    assert both.path == ()
    assert both.candidates == both.carried == (("pumps",), ("valves",))
    one = topics(["pumps"])
    assert (one.path, one.carried) == (("pumps",), (("pumps",),))


def test_a_text_is_one_label_unless_several_are_asked_for():
    assert topics("pumps; valves") == RowLabel.flat("pumps; valves")
    assert topics("pumps; valves; ", multi=True).carried == (("pumps",), ("valves",))
    assert topics("pumps", multi=True).carried == (("pumps",),)


@pytest.mark.parametrize("nested", [[["pumps"], ["a"]], [{"x": 1}], ["pumps", ("a",)]])
def test_a_list_in_a_list_is_unusable(nested: list[object]):
    with pytest.raises(UnusableRowError, match=r"^a list of labels has another list in it$"):
        topics(nested)


def test_nothing_but_separators_is_no_label():
    with pytest.raises(UnusableRowError, match=r"^no label$"):
        topics(" ; ;", multi=True)


@pytest.mark.parametrize("multi", [False, True])
def test_a_list_that_is_a_text_is_unusable(multi: bool):
    with pytest.raises(UnusableRowError, match=r"^labels written as the text of a list$"):
        topics("['pumps', 'valves']", multi=multi)


@pytest.mark.parametrize("cell", [[], [None], [""], None])
def test_an_empty_list_is_no_label(cell: object):
    with pytest.raises(UnusableRowError, match=r"^no label$"):
        topics(cell, multi=True)


def test_overlapping_labels_are_leaves_and_nodes():
    scheme = label_scheme("topics", ["topics"], {})
    labels = [scheme.label_of({"topics": cell}) for cell in (["b", "a"], ["a", "c"])]
    tree = scheme.tree(labels, 1)
    assert tree.paths == tree.nodes == (("a",), ("b",), ("c",))
    assert tree.nodes_on(labels[1].carried or ()) == (0, 2)


def test_named_labels_overlap_too():
    scheme = label_scheme("label", ["label"], {"label": ("x", "y", "z")})
    assert scheme.label_of({"label": [2, 0]}).carried == (("x",), ("z",))
    with pytest.raises(UnusableRowError, match=r"^unknown label$"):
        scheme.label_of({"label": [0, 3]})
