import html
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patclass.core.errors import DataError
from patclass.data.cleaning import MAX_CHARS, clean

quick = settings(deadline=None, max_examples=150)


def test_white_space_of_any_kind_becomes_a_single_space():
    assert clean("  A\tvalve\r\n with\u00a0a \u2003seat ") == "A valve with a seat"
    assert clean("a\0valve\0") == "a valve"  # not every database can store NUL


@pytest.mark.parametrize(
    ("marked", "plain"),
    [
        ("H<sub>2</sub>O and x<sup>2</sup>", "H2O and x2"),
        ("<p>A pump.</p><p>It has a valve.</p>", "A pump. It has a valve."),
        ("A pump.<br/>It has", "A pump. It has"),
        ('<div class="abstract" lang="EN">A <b>pump</b></div>', "A pump"),
        ('A pump (<figref idref="f1">FIG. 1</figref>) has', "A pump (FIG. 1) has"),
        ("<exch:p>A pump</exch:p>", "A pump"),
        (
            "<claim-text>1. A pump<claim-text>with a seat</claim-text></claim-text>",
            "1. A pump with a seat",
        ),
        ("A pump<!-- a remark --> has <?in-line-formulae?>x", "A pump has x"),
        ("a&#160;pump&nbsp;&amp; a seat", "a pump & a seat"),
        ("&lt;p&gt;A pump&lt;/p&gt;", "A pump"),
        ("&amp;lt;sub&amp;gt;2", "2"),
        ("a < b and c > d, x<y and z>w", "a < b and c > d, x<y and z>w"),
        ("R&D of a pump; p<0.05", "R&D of a pump; p<0.05"),
        ("the \ufb01rst e\ufb03cient \uff21", "the first efficient A"),
        ("a\u00adpump wi\u200bth\ufeff", "apump with"),
        ("a semi-\nconductor and a co-\r\npolymer", "a semiconductor and a copolymer"),
        ("a well-known pump, made of PVC-\nU", "a well-known pump, made of PVC- U"),
        ("10\u00b2 \u2122", "102 TM"),
        ("CO<subscript>2</subscript> <bold>a</bold><underline>b</underline>", "CO2 ab"),
        ("<text><tspan>A p</tspan>ump</text> of <chem>H<SUB>2</SUB>O</chem>", "A pump of H2O"),
        ("<ns0:p>H<ns0:sub>2</ns0:sub>O</ns0:p><ns0:p>x</ns0:p>", "H2O x"),
        ("<style>p {a: b}</style>A<script src='x'>if (a<b) c</script>pump", "A pump"),
        ("if x<b and c>d, or a<i and p>b", "if x<b and c>d, or a<i and p>b"),
        ('<p id=""p-1"" num=1>A pump</p><p class="" x=\'a b\' />', "A pump"),
        ("compo\u00ad\nsition and compo&shy; \r\n sition", "composition and composition"),
        ("compo- \nsition", "composition"),
        ("\u202aA\u202c \u2067pump\u2069\u061c", "A pump"),
        ("A\x01pump_x000D_\nwith\x85a\x1fseat", "A pump with a seat"),
        (
            "2 &mgr;m &agr;-olefin, &Dgr;T, &OHgr;; &PHgr;&khgr; &xxgr;",
            "2 μm α-olefin, ΔT, Ω; Φχ &xxgr;",
        ),
    ],
)
def test_marked_up_text_is_the_same_as_plain(marked: str, plain: str):
    assert clean(marked) == plain


@pytest.mark.parametrize(
    "value",
    [
        *("nan", "NaN", "None", " NULL ", "n/a", "<NA>", float("nan"), None, [], {}, ""),
        *("#N/A", "#NAME?", "#VALUE!", "#REF!", "(null)", "[]", "{}", r"\N", "-", " -- "),
    ],
)
def test_a_field_without_a_value_is_empty(value: object):
    assert clean(value) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12, "12"),
        (0, "0"),
        (b"A pump", "A pump"),
        ("Ger\u00e4t".encode(), "Ger\u00e4t"),
        ("Ger\u00e4t".encode("cp1252"), "Ger\u00e4t"),
        (["1. A pump.", None, "2. The pump of claim 1."], "1. A pump. 2. The pump of claim 1."),
        ([{"text": "1. A pump."}, {"text": "2. A seat."}], "1. A pump. 2. A seat."),
        (
            [{"text": "Eine Pumpe", "language": "de"}, {"text": "A pump", "language": "en"}],
            "A pump",
        ),
        ([{"text": "Eine Pumpe", "lang": "DE"}, {"text": "Une pompe", "lang": "FR"}], "Eine Pumpe"),
        ({"en": "A pump", "de": "Eine Pumpe"}, "A pump"),
        ({"DE": "Eine Pumpe"}, "Eine Pumpe"),
        ({"@lang": "en", "$": "A pump"}, "A pump"),
        ([{"@lang": "de", "#text": "Eine Pumpe"}, {"@lang": "en", "#text": "A pump"}], "A pump"),
        ({"list": [{"element": {"text": "A pump"}}, {"element": {"text": "x"}}]}, "A pump x"),
        (
            {
                "list": [
                    {"item": {"text": "P", "lang": "de"}},
                    {"item": {"text": "p", "lang": "en"}},
                ]
            },
            "p",
        ),
        (
            [
                {
                    "claims": [{"claim_text": ["1. A", "pump"]}, {"claim_text": ["2. B"]}],
                    "lang": "en",
                }
            ],
            "1. A pump 2. B",
        ),
    ],
)
def test_values_of_other_types_give_their_text(value: object, text: str):
    assert clean(value) == text


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('[{"text":"Grass","language":"en"}]', "Grass"),
        ('[{"text": "Gras", "language": "de"}, {"text": "Grass", "language": "en"}]', "Grass"),
        ("[{'text': 'Gras', 'language': 'de'}, {'text': 'Grass', 'language': 'en'}]", "Grass"),
        (" ['1. A<sub>2</sub>', None, \"2. B's\"]\n", "1. A2 2. B's"),
        ("['1. A' '2. B\\'s [' \"3.\"]", "1. A 2. B's [ 3."),
        ("[{'text': 'A'}\n {'text': 'B'}]", "A B"),
        ('["1. A \\ud800"]', "1. A ?"),
        ("b'A pump'", "A pump"),
        ("b'Ger\\xc3\\xa4t'", "Ger\u00e4t"),
        ('{"$": "Grass"}', "Grass"),
        ("[]", ""),
        ("[None]", ""),
        ('=HYPERLINK("u&v";"Grass ""A""")', 'Grass "A"'),
        (' =Hyperlink("u", "Grass")', "Grass"),
        ('=HYPERLINK("u")', '=HYPERLINK("u")'),
        # No literal, or none with a text.
        ("[0001] A pump [2]", "[0001] A pump [2]"),
        ("[A pump]", "[A pump]"),
        ("{'a': 1}", "{'a': 1}"),
        ("[True, f(1)]", "[True, f(1)]"),
        ("b'a' and 'b'", "b'a' and 'b'"),
        ("[__import__('os')]", "[__import__('os')]"),
        ("[[" * 20_000 + "]]" * 20_000, "[[" * 20_000 + "]]" * 20_000),
        ("['\\d']", "['\\d']"),
    ],
)
def test_a_cell_that_holds_a_literal_is_read_as_that(cell: str, text: str):
    assert clean(cell) == text


def test_a_long_list_is_read_if_its_texts_are_what_is_long():
    claim = "A pump, with a rotor, a seal, a drum and a valve. " * 40
    assert clean(str([claim] * 90)) == " ".join([claim.strip()] * 90)
    many = str(["a"] * 6_000)
    assert clean(many) == many


@pytest.mark.parametrize(
    ("title", "plain"),
    [
        ("(EP1234567) Pump", "Pump"),
        ("(US20200000001A1) (WO2020000001) Pump", "Pump"),
        ("[DE] Pumpe", "Pumpe"),
        ("[DE] Pumpe [EN] Pump [FR] Pompe", "Pump"),
        ("[EN] [DE] Pumpe", "Pumpe"),
        ("[EN]", ""),
        ("(EP1234567) [EN] (EP1234567) Pump", "Pump"),
        ("(R)-2-butanol and [DE]", "(R)-2-butanol and [DE]"),
        ("[1,2]oxazole", "[1,2]oxazole"),
        ("(AB12) pump", "(AB12) pump"),
    ],
)
def test_number_and_language_in_front_of_a_title_are_left_out(title: str, plain: str):
    assert clean(title) == plain
    assert clean(plain) == plain


@pytest.mark.parametrize(
    ("value", "why"), [(True, "bool"), ({"a": 1}, "a record of a"), ([object()], "object")]
)
def test_what_is_no_text_is_refused(value: object, why: str):
    with pytest.raises(DataError, match=f"not a text but .*{why}"):
        clean(value)


def test_overlong_text_stays_overlong():
    assert len(clean(" " * (MAX_CHARS + 1))) > MAX_CHARS
    assert clean("a " * (MAX_CHARS // 2)) == "a " * (MAX_CHARS // 2 - 1) + "a"


@pytest.mark.parametrize(
    "part",
    [
        "<",
        "</",
        "<p ",
        "<p a='b' ",
        "<!--",
        "<script>",
        "&",
        "&lt;",
        "a-\n",
        "\u00ad\n",
        "1,",
        "[",
        "{'a':",
        "\\'",
    ],
)
@pytest.mark.parametrize("around", [("", ""), ("[", "]"), ("['", "']")])
def test_hostile_text_takes_time_in_proportion(part: str, around: tuple[str, str]):
    started = time.process_time()
    clean(around[0] + part * (MAX_CHARS // len(part) - 2) + around[1])
    assert time.process_time() - started < 5  # in proportion to the square, it takes minutes


@quick
@given(st.text(alphabet="abc <>&;/-\n\u00ad\ufb01p#x2", max_size=40) | st.text(max_size=40))
def test_clean_text_stays_as_it_is(text: str):
    once = clean(text)
    assert clean(once) == once


@quick
@given(st.text(alphabet="abc xyz,.<>&\u00e4", max_size=40))
def test_escaped_text_is_the_same_as_plain(text: str):
    assert clean(html.escape(text)) == clean(text)
