"""Every format gives the same fields of the same patent."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import office_documents as office
from patclass.data.documents import Document, RejectedDocument, documents_of
from patclass.data.documents.document import Code, publication_number
from patclass.data.documents.elements import parse, plain_text, text_of
from sources import PUBLICATIONS, Publication


def one(text: str | bytes, name: str = "file") -> Document:
    (document,) = documents_of(text if isinstance(text, bytes) else text.encode(), name)
    assert isinstance(document, Document), document
    return document


def rejected(text: str | bytes) -> RejectedDocument:
    (document,) = documents_of(text if isinstance(text, bytes) else text.encode(), "file.xml")
    assert isinstance(document, RejectedDocument), document
    return document


@pytest.mark.parametrize(
    ("text", "id", "date", "language"),
    [
        (office.grant(), "US11000001B2", "2024-01-02", "en"),
        (office.APPLICATION, "US20010000001A1", "2001-03-15", "en"),
        (office.SGML, "US6000001B1", "2001-01-02", "en"),
        (office.DOCDB, "WO2022000001A1", "2022-12-15", "en"),
        (office.MAREC, "EP0900001A1", "2000-05-17", "en"),
        (office.ST36, "WO2022000004A1", "2022-12-15", "en"),
        (office.ST96, "WO2022000003A1", "2022-12-15", "en"),
        (office.GREENBOOK, "US4000001A", "1982-09-07", "en"),
    ],
)
def test_number_title_abstract_date_and_language(text: str, id: str, date: str, language: str):
    found = one(text)
    assert (found.id, found.title, found.abstract) == (id, "Pump", office.ABSTRACT)
    assert (found.publication_date, found.language) == (date, language)


@pytest.mark.parametrize(
    "text",
    [
        office.grant(),
        office.APPLICATION,
        office.SGML,
        office.EP,
        office.OPS_CLAIMS,
        office.MAREC,
        office.GREENBOOK,
    ],
)
def test_claims_one_by_one(text: str):
    claims = one(text).claims
    assert claims[0] == office.CLAIM
    assert all(claim.startswith(f"{number}. ") for number, claim in enumerate(claims, 1))


@pytest.mark.parametrize(
    "text", [office.grant(), office.APPLICATION, office.SGML, office.GREENBOOK]
)
def test_a_description_without_claims_and_abstract(text: str):
    found = one(text).description
    assert "ump" in found
    assert "rotor" not in found


def test_codes_of_a_grant_have_position_value_scheme_and_version():
    assert one(office.grant()).codes == (
        Code("F04D29/10", True, True, "CPC", "2013.01"),
        Code("Y02E10/72", False, False, "CPC", "2013.01"),
    )


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (office.APPLICATION, [("F04D29/10", True, "IPC"), ("F16J15/00", None, "IPC")]),
        (office.SGML, [("F04D29/10", True, "IPC"), ("F16J15/00", None, "IPC")]),
        (office.EP, [("F04D29/10", True, "IPC")]),
        (
            office.DOCDB,
            [("F04D29/10", True, "CPC"), ("F16J15/00", None, "CPC")],
        ),
        (office.MAREC, [("F04D29/10", None, "IPC")]),
        (office.CNIPA, [("F04D29/10", None, "IPC")]),
        (office.CNIPA_ST96, [("F04D29/10", None, "IPC")]),
        (office.ST36, [("F04D29/10", True, "IPC")]),
        (office.ST96, [("F04D29/10", True, "CPC")]),
        (office.GREENBOOK, [("F04D29/10", True, "IPC"), ("G06F7/28", False, "IPC")]),
        (office.ODP, [("F04D29/10", None, "CPC"), ("F16J15/00", None, "CPC")]),
    ],
)
def test_codes_in_the_order_of_the_document(text: str, codes: list[tuple[str, bool | None, str]]):
    assert [(code.code, code.first, code.scheme) for code in one(text).codes] == codes


def test_the_value_of_a_code_is_stated_by_its_scheme_in_docdb():
    assert [code.inventive for code in one(office.DOCDB).codes] == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("text", "date"),
    [
        (office.grant(), "2021-09-30"),
        (office.APPLICATION, "2001-01-03"),
        (office.SGML, "1999-10-05"),
        (office.EP, "2018-10-29"),
        (office.DOCDB, "2022-06-09"),
        (office.GREENBOOK, "1980-03-10"),
        (office.ODP, "2021-01-05"),
        (office.ST96, "2021-01-05"),
    ],
)
def test_the_date_of_the_application_is_not_that_of_the_priority(text: str, date: str):
    assert one(text).application_date == date


@pytest.mark.parametrize("text", [office.CNIPA, office.CNIPA_ST96])
def test_chinese_documents(text: str):
    found = one(text)
    assert (found.title, found.abstract, found.language) == ("泵", "一种泵，具有转子。", "zh")
    assert found.claims == ("1.一种泵。",)
    assert found.id in ("CN103000001A", "CN104000001A")


def test_of_translations_the_english_one_is_taken():
    found = one(office.EP)
    assert (found.title, found.claims, found.language) == ("Pump", (office.CLAIM,), "en")
    assert found.description == "Eine Pumpe."


def test_inline_elements_do_not_part_words_and_paragraphs_do():
    text = office.grant(more="<p>H<sub>2</sub>SO<sub>4</sub></p><p>next</p><!-- comment -->")
    assert one(text).description == "FIELD Pumps for CO2 & water. H2SO4 next"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("S1", "a design patent, which has a drawing instead of a text"), ("P3", "a plant patent")],
)
def test_design_and_plant_patents_are_left_out(kind: str, reason: str):
    found = rejected(office.grant(kind=kind))
    assert (found.id, found.reason) == (f"US11000001{kind}", reason)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"UTL"', '"DSN"', "a design patent"),
        ('"11000001"', '"D800000"', "a design patent"),
        ('"11000001"', '"PP30000"', "a plant patent"),
    ],
)
def test_designs_of_the_open_data_portal_are_left_out(old: str, new: str, reason: str):
    assert rejected(office.ODP.replace(old, new)).reason.startswith(reason)


def test_what_an_office_does_not_have_has_no_text():
    text = '<exchange-document country="EP" doc-number="9" kind="A1" status="not found"/>'
    first, second = documents_of((text + office.DOCDB).encode())
    assert first == RejectedDocument("EP0000009A1", "no text")
    assert second.id == "WO2022000001A1"


@pytest.mark.parametrize(
    ("stated", "kind"), [("B2", "B2"), ("公開特許公報(A)", "A"), ("（B1）", "B1"), ("unknown", "")]
)
def test_a_kind_code_may_stand_in_words(stated: str, kind: str):
    assert one(office.grant(kind=stated)).kind == kind


@pytest.mark.parametrize(
    "root", ["de-patent-document", "kr-patent-publication", "jp:UnexaminedPatentPublication"]
)
def test_documents_of_other_offices_are_known_by_their_root(root: str):
    inside = office.MAREC[office.MAREC.index("<bibliographic-data>") :]
    inside = inside.replace("</patent-document>", f"</{root}>")
    assert one(f'<{root} country="EP" doc-number="1" kind="A1">{inside}').title == "Pump"


@pytest.mark.parametrize("status", ["D", "deleted", "withdrawn"])
def test_what_was_withdrawn_is_left_out(status: str):
    assert rejected(office.docdb_file(office.docdb(status=status))).reason == "withdrawn or deleted"


def test_a_document_without_any_text_is_left_out():
    text = '<patent-document country="EP" doc-number="1" kind="A1"><claims/></patent-document>'
    assert rejected(text) == RejectedDocument("EP0000001A1", "no text")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<us-patent-grant><abstract></us-patent-grant>", "not well-formed XML"),
        ("<us-patent-grant><abstract/></us-patent-grant>", "no publication number"),
        ("<us-patent-grant><abstract>", "cut off"),
        ("PATN\nTTL  Pump\nWKU  \n", "no publication number"),
        ('{"patentFileWrapperDataBag": 1}', "no list patentFileWrapperDataBag"),
        ('{"patentFileWrapperDataBag": [', "not JSON"),
        ('{"patentFileWrapperDataBag": ' + "[" * 5_000, "not JSON"),
        ("%PDF-1.7 no more", "damaged, or not a PDF"),
    ],
)
def test_a_damaged_document_is_one_error(text: str, reason: str):
    found = rejected(text)
    assert reason in found.reason
    assert found.id == "file.xml"


def test_one_bad_application_does_not_cost_the_others():
    text = office.ODP.replace('Bag": [{"app', 'Bag": [1, {"app')
    bad, good = documents_of(text.encode())
    assert bad == RejectedDocument("application 1", "no applicationMetaData")
    assert good.id == "US11000001"


def test_where_a_document_is_damaged_is_not_part_of_the_reason():
    found = rejected("<us-patent-grant><abstract></us-patent-grant>")
    assert found.reason == "not well-formed XML"
    assert found.detail
    assert str(found) == f"{found.reason} ({found.detail})"


def test_an_empty_element_has_no_end_tag():
    text = office.EP.replace(
        '<description lang="de"><p>', '<description lang="fr"/><description><p>'
    )
    assert one(text).description == "Eine Pumpe."


@pytest.mark.parametrize(
    ("parts", "id"),
    [
        (("EP", "0123456", "A1"), "EP0123456A1"),
        (("EP", "123456", "A1"), "EP0123456A1"),
        (("US", "04347903", "A"), "US4347903A"),
        (("US", "RE035312", "E"), "USRE35312E"),
        (("US", "2001000001", "A1"), "US20010000001A1"),
        (("WO", "00/12345", "A1"), "WO0012345A1"),
        (("DE", "US 1", ""), "DEUS1"),
    ],
)
def test_numbers_are_spelt_as_the_office_does(parts: tuple[str, str, str], id: str):
    assert publication_number(*parts) == id


def test_entities_of_the_document_itself_are_not_expanded():
    """Neither from within, in any number, nor from a file."""
    text = office.grant(more="<p>&lol; &passwd;</p>").replace(
        "[ ]", '[<!ENTITY lol "lol"><!ENTITY passwd SYSTEM "file:///etc/passwd">]'
    )
    assert one(text).description.split() == ["FIELD", "Pumps", "for", "CO2", "&", "water."]


def test_entities_of_iso_8879_are_characters():
    more = "<p>2 &mgr;m &agr;<bold>-</bold>olefin &Dgr;T &ohm; &angst; a&thinsp;b &xxgr;</p>"
    assert one(office.grant(more=more)).description.endswith("2 μm α-olefin ΔT Ω Å a b")


@pytest.mark.parametrize(
    ("marked", "plain"),
    [
        ("CO.sub.2 at 10.sup.-3 Pa", "CO2 at 10-3 Pa"),
        ("a .alpha.-olefin.", "a α-olefin."),
        ("20.degree..+-.2.degree. C., 3.times.4 .mu.m", "20°±2° C., 3×4 μm"),
        ("x.sub..alpha.,.beta. and .DELTA.T.ltoreq.5 .OMEGA.", "xα,β and ΔT≤5 Ω"),
        ("a valve.The seat.A pump, i.e. one.", "a valve.The seat.A pump, i.e. one."),
        ("so.unknown.times.2", "so.unknown×2"),
    ],
)
def test_marks_of_the_green_book_are_characters(marked: str, plain: str):
    text = office.GREENBOOK.replace("  Pump\n", f"  {marked}\n")
    text = text.replace("A pump has a rotor", marked).replace("1. A pump with", marked)
    found = one(text.replace("Pumps.", marked))
    assert found.title == plain
    assert found.abstract == f"{plain} and a seal of rubber."
    assert found.claims[0] == f"{plain} a rotor."
    assert found.description == f"FIELD {plain}"


def test_depth_is_bounded():
    deep = "<p>" * 5_000 + "</p>" * 5_000
    assert "not well-formed" in rejected(office.grant(title=deep)).reason
    assert one(office.grant(more=deep)).description.startswith("FIELD")


@pytest.mark.parametrize(
    "markup",
    [
        "<p>a<sub>2</sub> b</p><p>c</p>",
        "<p>&lt;tag&gt; &amp; &#x201c;word&#8221; &alpha; &unknown;</p>",
        '<p id="1">line\n<br/>end <figref idref="D1">FIG. <b>1</b></figref>.</p><?pi x?>',
        "<p><x:custom-character>x</x:custom-character>y</p>",
    ],
)
def test_text_is_the_same_without_a_parser(markup: str):
    element = parse(f'<d xmlns:x="x">{markup}</d>'.encode())
    assert plain_text(markup.encode()) == text_of(element)


PIECES = st.sampled_from(
    (
        *("<p>", "</p>", "<b>", "</b>", "<br/>", "&#x2009;", "&#160;", "&amp;lt;", "&lt;b&gt;"),
        *(" ", "  ", "\t", "\n", "\r\n", "\x85", "\xa0", "\u1680", "\u2003", "\u2028", "\u202f"),
        *("\u205f", "\u3000", "\u200b", "\u2014", "é", "Ä", "、", "word", "&nbsp;", "&ohgr;", "&"),
    )
)


@given(pieces=st.lists(PIECES, max_size=40))
def test_white_space_is_the_same_without_a_parser(pieces: list[str]):
    inside = "".join("&amp;" if piece == "&" else piece for piece in pieces)
    inside = re.sub("</?[pb]>", lambda tag: f"<{tag[0].strip('</>')}/>", inside)
    assert plain_text(inside.encode()) == text_of(parse(f"<d>{inside}</d>".encode()))


def test_fields_are_a_row_that_json_and_parquet_take():
    row = one(office.grant()).fields()
    assert row["first_claim"] == row["claims"][0] == office.CLAIM
    assert row["codes"][0] == {
        "code": "F04D29/10",
        "first": True,
        "inventive": True,
        "scheme": "CPC",
        "version": "2013.01",
    }
    assert json.loads(json.dumps(row)) == row


@pytest.mark.parametrize("source", PUBLICATIONS, ids=lambda source: source.name)
def test_what_is_read_of_each_format_is_what_the_documentation_says(source: Publication):
    row = one(source.text).fields()
    found = ("title", "abstract", "claims", "description", "codes")
    assert tuple(name for name in found if row[name]) == source.fields
    assert row["id"]


def test_no_person_or_company_is_kept():
    for text in (office.EP, office.GREENBOOK):
        assert "name" not in json.dumps(one(text).fields()).lower()
