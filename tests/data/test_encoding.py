"""The encoding of a text: one rule for files, fields and standard input."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patclass.core.errors import DataError
from patclass.data.encoding import SAMPLE, decoded, encoding_of

TEXT = "Gerät mit größerer Öffnung"


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        *(("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("cp1252", "cp1252")),
        *(("utf-16", "utf-16"), ("utf-16-le", "utf-16-le"), ("utf-16-be", "utf-16-be")),
        ("utf-32", "utf-32"),
    ],
)
def test_a_text_is_decoded_in_its_encoding(encoding: str, found: str):
    content = TEXT.encode(encoding)
    assert encoding_of(content) == found
    assert decoded(content) == TEXT


@pytest.mark.parametrize("text", ["", "a", "é", "Café", "naïve", "x" * 40])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_short_texts_are_decoded_too(text: str, encoding: str):
    assert decoded(text.encode(encoding)) == text


def test_a_sample_may_end_within_a_character():
    content = b"x" * (SAMPLE - 1) + "é".encode()
    assert encoding_of(content[:SAMPLE]) == "utf-8"
    assert decoded(content).endswith("xé")


@pytest.mark.parametrize(
    "content", [b"\x81", b"\xff\xfea", b"PK\x03\x04\x90\x8f", b"\xef\xbb\xbf\xff"]
)
def test_what_is_no_text_names_the_place(content: bytes):
    with pytest.raises(DataError, match=r"no text in UTF-8, .* at byte \d; save it as UTF-8"):
        decoded(content)


def test_a_damaged_character_of_a_utf_8_text_is_not_guessed():
    with pytest.raises(DataError, match="at byte 31"):
        decoded(TEXT.encode() + b"\xff")


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=60), st.sampled_from(["utf-8-sig", "utf-16", "utf-8"]))
def test_any_text_with_a_mark_or_in_utf_8_is_the_same_again(text: str, encoding: str):
    content = text.encode(encoding, errors="replace")
    if text.startswith("\0") or (encoding == "utf-8" and (0 in content or text[:1] == "\ufeff")):
        return  # as UTF-32 and UTF-16 have, or a mark
    assert decoded(content) == content.decode(encoding)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_text_or_refused(content: bytes):
    with suppress(DataError):
        assert isinstance(decoded(content), str)
