import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from patclass.core.errors import DataError
from patclass.cpc.symbols import LEVELS, SUBCLASS_DEPTH
from patclass.cpc.tree import LabelSet, Path, common_path
from patclass.data.codes import UnusableRowError
from patclass.data.column_labels import ColumnLabels, NamedLabels, RowLabel
from patclass.data.labels import CpcLabels, LevelLabels, ListLabels, label_scheme

COLUMNS = ["text", "main_code", "codes", "section"]


def code(wanted: str, fields: dict[str, object], **more: object) -> str:
    return label_scheme(wanted, list(fields), {}, **more).code_of(fields)


def test_auto_uses_the_label_column_or_else_the_section():
    assert label_scheme("auto", ["text", "label", "main_code"], {}) == ColumnLabels("label")
    scheme = label_scheme("auto", COLUMNS, {})
    assert isinstance(scheme, LevelLabels)
    assert scheme.level == "section"


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        *[("section", "A"), ("class", "A61"), ("subclass", "A61K"), ("main_group", "A61K31/00")],
        ("subgroup", "A61K31/7036"),
    ],
)
def test_the_main_code_is_truncated_to_the_level(level: str, expected: str):
    assert code(level, {"main_code": "A61K 31/7036", "codes": ["H04L", "G06F"]}) == expected


def test_the_main_code_takes_precedence_over_the_level_column():
    assert code("section", {"main_code": "A61K 31/00", "section": "H"}) == "A"


def test_the_level_column_takes_precedence_over_the_list_of_codes():
    fields = {"main_code": None, "section": "H", "codes": ["A61K", "G06F"]}
    assert code("section", fields) == "H"


def test_a_main_code_coarser_than_the_level_falls_back_to_the_codes():
    assert code("class", {"main_code": "A", "codes": ["H04L 9/00"]}) == "H04"


@pytest.mark.parametrize("codes", [["A61K", "A61P 3/00"], "A61K; A61P 3/00", "['A61K', 'A61P']"])
def test_unanimous_codes_give_the_label(codes: object):
    assert code("class", {"codes": codes}) == "A61"


def test_codes_too_coarse_do_not_break_unanimity():
    assert code("class", {"codes": ["H", "H04L"]}) == "H04"


@pytest.mark.parametrize(
    "cell",
    [
        *("nonsense", "A61K 31/00; G06F17.30", ["A61K", "424/400"], 61, True),
        *("A61K31/00; B", "A61K31/00; 514/1", "A61K31/00; 3H130", "A61K31/00; 14-03"),
        {"code": "D14", "scheme": "USPC"},
    ],
)
@pytest.mark.parametrize("column", ["main_code", "codes"])
@pytest.mark.parametrize("wanted", ["section", "A61,G06", "cpc"])
def test_no_label_is_decided_by_skipping_what_is_not_understood(
    cell: object, column: str, wanted: str
):
    with pytest.raises(UnusableRowError, match=r"^symbols not understood$") as caught:
        label_scheme(wanted, [column], {}).label_of({column: cell})
    assert caught.value.example is not None
    assert caught.value.example.split()[-1].strip("()") in str(cell)


@pytest.mark.parametrize(
    ("fields", "example"),
    [
        ({"section": "A", "class": "H01", "subclass": "H01L"}, "A but H01"),
        ({"cpc_section": "A", "cpc_class": "A61", "cpc_subclass": "A01B"}, "A61 but A01B"),
        ({"section": "A", "class": None, "subclass": "H01L"}, "A but H01L"),
    ],
)
@pytest.mark.parametrize("wanted", ["section", "A61,H01", "cpc"])
def test_levels_that_contradict_each_other_decide_no_label(
    fields: dict[str, object], example: str, wanted: str
):
    with pytest.raises(UnusableRowError, match=r"^symbols not understood$") as caught:
        label_scheme(wanted, list(fields), {}).label_of(fields)
    assert caught.value.example == example


def test_levels_of_two_schemes_may_differ():
    fields = {"cpc_section": "A", "ipc_section": "H", "cpc_class": "A61", "ipc_class": "H01"}
    with pytest.raises(UnusableRowError, match=r"^ambiguous label$"):
        code("class", fields)


def test_a_facet_decides_no_section():
    assert code("section", {"codes": "H05K   3/46      B; H01L21/02,301,A"}) == "H"
    assert code("section", {"main_code": "A61K31/00 (2013.01) [F]"}) == "A"


def test_tags_and_indexing_codes_decide_no_label():
    assert code("section", {"codes": "C12N1/20; G06R1:01"}) == "C"
    assert code("section", {"codes": "A42B1/22; Y10T428/12"}) == "A"
    assert code("subclass", {"codes": "B29C45/00; B29K2105/00; C08L2201/00"}) == "B29C"
    with pytest.raises(UnusableRowError, match=r"^only in section Y, never a main code$"):
        code("section", {"codes": "Y10T428/12"})


def test_a_column_named_after_the_level_may_say_y():
    assert code("section", {"section": "Y", "codes": "Y02E 10/00; H02J 3/00"}) == "Y"
    assert code("section", {"main_code": "Y02E 10/00", "section": "H"}) == "H"


def test_the_first_or_inventive_symbols_decide_where_they_are_stated():
    first = [{"code": "A61K31/00", "first": True}, {"code": "H04L9/00", "first": False}]
    assert code("section", {"cpc": first}) == "A"
    inventive = [{"code": "A61K31/00", "inventive": True}, {"code": "H04L9/00", "inventive": False}]
    assert code("section", {"cpc": inventive}) == "A"
    assert code("section", {"cpc": "A61K 31/00 (2006.01)I; H04L 9/00 (2006.01)N"}) == "A"
    assert cpc(cpc=first).path == ("A", "A61", "A61K")


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"section": "A", "ipc_class": "61", "subclass": "K", "main_group": "31"}, "A61K"),
        ({"section": "A", "class": 1, "subclass": "B"}, "A01B"),
        ({"section": "A", "class": 1.0, "subclass": None}, "A01"),
        ({"section": "A", "ipc_section": " nan ", "class": 1, "subclass": "-"}, "A01"),
        ({"cpc_section": "A", "cpc_class": "A42", "cpc_subclass": "A42B"}, "A42B"),
    ],
)
def test_columns_of_one_level_each_are_joined(fields: dict[str, object], path: str):
    assert cpc(**fields).code == path
    assert code("section", fields) == "A"


@pytest.mark.parametrize(
    ("fields", "group"),
    [
        ({"subclass": "A61K", "main_group": "31", "subgroup": "7036"}, "A61K31/7036"),
        ({"subclass": "A61K", "main_group": 31.0, "subgroup": 4.0}, "A61K31/04"),
        ({"subclass": "A61K", "main_group": 31, "subgroup": "00"}, "A61K31/00"),
        ({"subclass": "A61K", "main_group": "A61K31", "subgroup": "04"}, "A61K31/04"),
        ({"cpc_main_group": "A61K 31/00", "cpc_subgroup": "A61K 31/7036"}, "A61K31/7036"),
        ({"subclass": "A61K", "subgroup": "A61K 31/04"}, "A61K31/04"),
    ],
)
def test_columns_of_groups_are_joined(fields: dict[str, object], group: str):
    assert code("main_group", fields) == "A61K31/00"
    finest = "main_group" if group.endswith("/00") else "subgroup"
    assert code(finest, fields) == group


@pytest.mark.parametrize(
    "fields",
    [
        {"main_group": "31"},
        {"main_code": "A61K", "subgroup": 4},
        {"main_code": "A61K", "subgroup": "A"},
        {"codes": "A61K", "subgroup": "patients over 60"},
        {"subclass": "A61K", "subgroup": 4},
    ],
)
def test_a_part_of_a_group_alone_says_nothing(fields: dict[str, object]):
    with pytest.raises(UnusableRowError, match=r"^no label$"):
        code("main_group", fields)


def test_groups_that_contradict_their_subclass_decide_no_label():
    fields = {"subclass": "A61K", "main_group": "A61P31/00"}
    with pytest.raises(UnusableRowError, match=r"^symbols not understood$") as caught:
        cpc(**fields)
    assert caught.value.example == "A61K but A61P31/00"


def test_codes_that_disagree_are_ambiguous():
    with pytest.raises(UnusableRowError, match=r"^ambiguous label$"):
        code("subclass", {"codes": ["A61K", "A61P"]})


@pytest.mark.parametrize("cell", [None, "", [], "A"])
def test_without_a_code_of_the_level_there_is_no_label(cell: object):
    with pytest.raises(UnusableRowError, match=r"^no label$"):
        code("class", {"main_code": cell, "codes": cell})


@pytest.mark.parametrize("cell", [float("nan"), "nan", "-", "NULL"])
@pytest.mark.parametrize("wanted", ["section", "A61,G06"])
def test_a_placeholder_for_an_empty_cell_is_no_label(cell: object, wanted: str):
    with pytest.raises(UnusableRowError, match=r"^no label$"):
        code(wanted, {"main_code": cell})


def test_a_named_code_column_replaces_the_default_ones():
    fields = {"symbol": "H04L 9/00", "main_code": "A61K 31/00"}
    assert code("section", fields, codes="symbol") == "H"


def test_a_missing_code_column_is_named():
    with pytest.raises(DataError, match=r"codes 'symbol': no such column; .* codes, main_code"):
        label_scheme("section", COLUMNS, {}, "symbol")


def test_levels_without_any_column_of_symbols_are_refused():
    with pytest.raises(DataError, match=r"labels 'class' need CPC/IPC symbols.*name, text"):
        label_scheme("class", ["text", "name"], {})


def test_the_label_set_of_a_level_holds_the_sorted_codes_of_train():
    scheme = label_scheme("class", COLUMNS, {})
    assert scheme.label_set(["H04", "A61", "H04", "B01"]).codes == ["A61", "B01", "H04"]


def test_a_list_matches_symbols_by_prefix_and_keeps_its_order():
    scheme = label_scheme("H04, a61k ,G06", COLUMNS, {})
    assert scheme.label_set(["A61K"]).codes == ["H04", "A61K", "G06"]
    assert scheme.code_of({"main_code": "A61K 31/00"}) == "A61K"
    assert scheme.code_of({"main_code": None, "codes": ["G06F", "G06N 3/02", "B01D"]}) == "G06"


def test_the_longest_code_of_a_list_wins():
    scheme = label_scheme("A,A61,A61K", COLUMNS, {})
    found = [scheme.code_of({"main_code": text}) for text in ("A61K 1/00", "A61P 1/00", "A01B")]
    assert found == ["A61K", "A61", "A"]


def test_a_main_group_in_a_list_is_not_a_prefix_of_other_groups():
    scheme = label_scheme("A61K3,A61K31,G06", COLUMNS, {})
    assert scheme.code_of({"main_code": "A61K 31/00"}) == "A61K31/00"
    assert scheme.code_of({"main_code": "A61K 3/10"}) == "A61K3/00"
    with pytest.raises(UnusableRowError, match=r"^label not in the list$"):
        scheme.code_of({"main_code": "A61K 33/00"})


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"main_code": "B01D 1/00", "codes": ["A61K"]}, "label not in the list"),
        ({"codes": ["A61K", "G06F"]}, "ambiguous label"),
        ({"main_code": None, "codes": []}, "no label"),
        ({"main_code": "A", "codes": []}, "label not in the list"),
    ],
)
def test_a_list_rejects_with_a_reason(fields: dict[str, object], reason: str):
    with pytest.raises(UnusableRowError, match=f"^{reason}$"):
        label_scheme("A61,G06", COLUMNS, {}).code_of(fields)


def test_a_list_counts_a_repeated_code_once():
    scheme = label_scheme("A61,a 61,G06", COLUMNS, {})
    assert isinstance(scheme, ListLabels)
    assert scheme.codes == ("A61", "G06")


@pytest.mark.parametrize("wanted", ["A61,", "A61,A61"])
def test_a_list_of_one_code_is_refused(wanted: str):
    with pytest.raises(DataError, match=f"labels '{wanted}' names fewer than two codes"):
        label_scheme(wanted, COLUMNS, {})


def test_an_invalid_code_in_a_list_is_named():
    with pytest.raises(DataError, match="not a CPC symbol: A6l, Z01"):
        label_scheme("A61,A6l,Z01", COLUMNS, {})


def test_an_unknown_level_or_column_is_reported_with_the_known_ones():
    with pytest.raises(DataError, match=r"unknown label level or column 'klass'.*codes, main_code"):
        label_scheme("klass", COLUMNS, {})


@pytest.mark.parametrize(("value", "expected"), [(" sports ", "sports"), (3, "3"), (0, "0")])
def test_a_column_gives_its_value_as_the_label(value: object, expected: str):
    assert code("topic", {"topic": value}) == expected


@pytest.mark.parametrize("value", [None, "", "  ", -1, "-1"])
def test_an_empty_or_unlabelled_cell_is_no_label(value: object):
    with pytest.raises(UnusableRowError, match=r"^no label$"):
        code("topic", {"topic": value})


def named(*names: str) -> NamedLabels:
    return NamedLabels("label", names, LabelSet.of_names(names))


def test_integers_with_known_names_become_section_letters():
    scheme = label_scheme("auto", ["text", "label"], {"label": ("Physics", "Electricity")})
    assert isinstance(scheme, NamedLabels)
    assert [scheme.code_of({"label": value}) for value in (0, "1", "Electricity")] == list("GHH")


def test_the_named_label_set_does_not_depend_on_train():
    assert named("Physics", "Electricity", "Textiles").label_set(["G"]).codes == ["G", "H", "D"]


@pytest.mark.parametrize("value", [2, "2", "Sports", "0.5", "-2"])
def test_a_value_outside_the_names_is_an_unknown_label(value: object):
    with pytest.raises(UnusableRowError, match=r"^unknown label$"):
        named("Physics", "Electricity").code_of({"label": value})


@settings(deadline=None, max_examples=100)
@example("²")
@given(st.text())
def test_any_text_is_a_label_of_the_set_or_unusable(text: str):
    try:
        found = named("x", "y").code_of({"label": text})
    except UnusableRowError as reason:
        found = str(reason)
    assert found in {"x", "y", "no label", "unknown label"}


# Schemes without levels as label trees


@pytest.mark.parametrize(
    ("wanted", "level", "codes"),
    [
        ("section", "section", ["A", "H"]),
        ("class", "class", ["A61", "H04"]),
        ("H04,A61,G06", "label", ["H04", "A61", "G06"]),
        ("topic", "label", ["x", "y"]),
    ],
)
def test_a_flat_scheme_gives_a_tree_of_one_level(wanted: str, level: str, codes: list[str]):
    rows = [{"main_code": "A61K", "topic": "y"}, {"main_code": "H04L", "topic": "x"}]
    scheme = label_scheme(wanted, ["main_code", "topic"], {})
    labels = [scheme.label_of(row) for row in rows]
    tree = scheme.tree(labels, min_rows=100)
    assert tree.levels == (level,)
    assert tree.at(level).codes == codes
    assert tree.paths == tuple((code,) for code in codes)
    assert tree.nodes == ()


def test_a_row_of_a_flat_scheme_is_certain():
    scheme = label_scheme("class", ["main_code"], {})
    label = scheme.label_of({"main_code": "A61K 31/00"})
    assert label == RowLabel.flat("A61") == RowLabel(("A61",), (("A61",),))
    assert label.code == "A61"


# The whole tree

K = ("A", "A61", "A61K")
P = ("A", "A61", "A61P")
B = ("A", "A01", "A01B")
L = ("H", "H04", "H04L")


def cpc(**fields: object) -> RowLabel:
    return label_scheme("cpc", list(fields), {}, finest="subclass").label_of(fields)


def test_symbols_are_cut_below_the_finest_level():
    fields = {"main_code": "A61K 31/7036", "codes": ["A61K 31/7036", "Y02E 10/50", "A61P 3/00"]}
    scheme = label_scheme("cpc", list(fields), {}, finest="main_group")
    label = scheme.label_of(fields)
    assert label.path == (*K, "A61K31/00")
    assert label.carried == (label.path, (*P, "A61P3/00"), ("Y", "Y02", "Y02E", "Y02E10/00"))
    assert label_scheme("cpc", list(fields), {}).label_of(fields).code == "A61K31/7036"


def test_cpc_selects_the_whole_tree():
    columns = ["text", "codes", "section", "class", "main_code"]
    expected = CpcLabels(("main_code",), ("section", "class"), ("codes",))
    assert label_scheme("cpc", columns, {}) == expected
    with pytest.raises(DataError, match=r"labels 'cpc' need CPC/IPC symbols"):
        label_scheme("cpc", ["text"], {})


def test_the_main_code_takes_precedence_over_everything():
    label = cpc(main_code="A61K 31/00", section="H", codes=["H04L", "A61P"])
    assert (label.path, label.candidates) == (K, (K,))
    assert label.code == "A61K"


@pytest.mark.parametrize(("main", "path"), [("A", ("A",)), ("A61", ("A", "A61")), ("a61k 8/02", K)])
def test_a_main_code_is_certain_to_its_own_level_only(main: str, path: tuple[str, ...]):
    label = cpc(main_code=main)
    assert (label.path, label.candidates, label.code) == (path, (path,), path[-1])


def test_differing_main_codes_are_certain_to_their_common_level():
    assert cpc(main_cpc="A61K", main_ipc="A61P").path == ("A", "A61")


def test_main_codes_of_different_sections_are_uncertain_but_labelled():
    label = cpc(main_cpc="A61K", main_ipc="H04L")
    assert (label.path, label.candidates) == ((), (K, L))


def test_a_main_code_among_the_tags_falls_back_to_the_others():
    label = cpc(main_code="Y02E 10/50", codes=["Y02E 10/50", "H04L 9/00"])
    assert (label.path, label.carried) == (L, (L, ("Y", "Y02", "Y02E")))


def test_listed_codes_under_the_section_are_candidates():
    label = cpc(section="A", codes=["A61P 3/00", "A61K 31/00", "A01B", "H04L"])
    assert label.path == ("A",)
    assert label.candidates == (B, K, P)


def test_unanimous_codes_deepen_the_path():
    assert cpc(section="A", codes=["A61K 8/02", "A61K 31/00", "H04L"]).path == K
    assert cpc(section="A", codes=["A61K", "A61P", "H04L"]).path == ("A", "A61")
    assert cpc(codes="A61K; A61P").path == ("A", "A61")
    assert cpc(codes=["A61K"]).path == K


def test_a_coarse_code_beside_a_fine_one_leaves_the_path_uncertain():
    label = cpc(section="A", codes=["A61", "A61K"])
    assert (label.path, label.candidates) == (("A", "A61"), (("A", "A61"), K))


def test_codes_outside_the_section_are_ignored():
    label = cpc(section="B", codes=["A61K", "H04L"])
    assert (label.path, label.candidates) == (("B",), (("B",),))


def test_rows_in_several_sections_have_an_empty_path():
    label = cpc(codes=["H04L 9/00", "A61K 31/00", "A61P"])
    assert label.path == ()
    assert label.candidates == (K, P, L)


@pytest.mark.parametrize("fields", [{}, {"codes": ["H04L"]}, {"codes": []}])
def test_level_columns_give_the_path_as_deep_as_they_go(fields: dict[str, object]):
    assert cpc(section="A", **{"class": "A61"}, subclass="A61K", **fields).path == K
    assert cpc(section="A", **{"class": "A61"}, subclass=None, **fields).path == ("A", "A61")
    assert cpc(section="A", **{"class": ""}, subclass="", **fields).path == ("A",)


@pytest.mark.parametrize(
    "fields",
    [
        {"main_code": "Y02E 10/50"},
        {"codes": ["Y02E 10/50", "Y04S"]},
        {"section": "Y", "codes": ["Y02E"]},
        {"section": "Y"},
    ],
)
def test_a_row_with_tags_only_is_unusable(fields: dict[str, object]):
    with pytest.raises(UnusableRowError, match=r"^only in section Y, never a main code$"):
        cpc(**fields)


@pytest.mark.parametrize("cell", [None, "", [], "none"])
def test_a_row_without_a_symbol_has_no_label(cell: object):
    with pytest.raises(UnusableRowError, match=r"^no label$"):
        cpc(main_code=cell, codes=cell)


Y02E = ("Y", "Y02", "Y02E")
Y10T = ("Y", "Y10", "Y10T")


@pytest.mark.parametrize(
    ("fields", "carried"),
    [
        ({"codes": ["A61K", "Y02E 10/50"]}, (K, Y02E)),
        ({"main_code": "A61K", "codes": ["A61K", "Y02E 10/50"]}, (K, Y02E)),
        ({"main_code": "A61K", "codes": "Y10T"}, (K, Y10T)),
        ({"codes": ["A61K", "A61P"]}, (K, P)),
        ({"main_code": "A61K", "codes": ["A61K 31/00", "A61P"]}, (K, P)),
        ({"codes": ["A61K 31/00", "H04L2012/00"]}, (K, L)),
        ({"main_code": "A61K"}, None),
        ({"codes": ["A61K"]}, None),
        ({"main_code": ["A61K", "A61P"]}, (K, P)),
        ({"main_cpc": "A61K", "main_ipc": "A61P"}, None),
        ({"section": "A"}, None),
    ],
)
def test_all_codes_of_a_row_are_carried(
    fields: dict[str, object], carried: tuple[Path, ...] | None
):
    assert cpc(**fields).carried == carried


@pytest.mark.parametrize(
    "fields",
    [
        {"section": "A", "class": "A61", "subclass": "A61K"},
        {"main_code": "A61K", "codes": ["A61K"]},
        {"main_code": "A61K 31/00", "section": "A"},
    ],
)
def test_one_symbol_in_several_columns_says_nothing_of_others(fields: dict[str, object]):
    assert cpc(**fields).carried is None


def test_the_tree_is_built_from_the_certain_codes_of_the_training_rows():
    scheme = label_scheme("cpc", ["section", "codes"], {}, finest="subclass")
    rows = [["A61K"], ["A61K"], ["A61P"], ["H04L"], ["H04L"], ["A61K", "H04L"]]
    tree = scheme.tree([scheme.label_of({"codes": codes}) for codes in rows], 2)
    assert tree.levels == LEVELS[:SUBCLASS_DEPTH]
    assert tree.paths == (("A", "A61"), K, L)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.sampled_from(["A61K 31/00", "A61P", "A61", "A01B", "A", "H04L", "H", "Y02E"]),
        max_size=5,
    ),
    st.sampled_from([None, "A", "H", "Y"]),
    st.sampled_from([None, "A61K", "H04", "Y10T", ""]),
)
def test_the_certain_path_is_a_prefix_of_every_candidate(
    codes: list[str], section: str | None, main: str | None
):
    try:
        label = cpc(main_code=main, section=section, codes=codes)
    except UnusableRowError as reason:
        usable = [code for code in (*codes, section, main) if code and code[0] in "AH"]
        found = (usable, str(reason))
        assert found in (([], "no label"), ([], "only in section Y, never a main code"))
        return
    assert label.candidates
    assert common_path(label.candidates) == label.path
    assert list(label.candidates) == sorted(set(label.candidates))
    assert not any(path[0] == "Y" for path in label.candidates)
