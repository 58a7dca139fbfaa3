"""What is known of a patent that was found."""

from patclass.offices.patent import OfficePatent

PATENT = OfficePatent("EP1A1", "EPO", "Title", "Abstract", "Claims", None, ("D03C13/00",))


def test_fields_are_cut_from_the_last():
    assert PATENT.fields() == {
        "title": "Title",
        "abstract": "Abstract",
        "claims": "Claims",
        "description": None,
    }
    assert PATENT.fields(15) == PATENT.fields() | {"claims": "Cl"}
    assert PATENT.fields(3) == PATENT.fields() | {"title": "Tit", "abstract": "", "claims": ""}


def test_what_is_shown_beside_a_prediction():
    assert PATENT.record() == {
        "number": "EP1A1",
        "office": "EPO",
        "title": "Title",
        "abstract": "Abstract",
        "codes": ("D03C13/00",),
    }
