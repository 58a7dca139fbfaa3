"""The encoding of a text: one rule for files, fields and standard input.

Older encodings: lists of patents as offices write them, and Western texts that stay the same.
"""

import json
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patclass.core.errors import DataError
from patclass.data.encoding import SAMPLE, decoded, encoding_of, legacy_encoding
from patclass.data.rows import open_table

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


JAPANESE = (
    "文献番号,出願番号,出願日,公知日,発明の名称,出願人/権利者,FI\n"
    "特開2026-000001,特願2025-000001,2025/01/06,2026/01/05,織機及び織物の製造方法,山田織物,D03D\n"
)
SIMPLIFIED = (
    "申请号,申请日,公开（公告）号,发明名称,摘要\n"
    "CN202610000001.1,2026.01.05,CN111111111A,一种水泵,本发明公开了一种水泵，包括壳体和叶轮。\n"
)
TRADITIONAL = (
    "公告號,專利名稱,摘要\nTWI100001B,織布機及其控制方法,本發明提供一種織布機，具有線圈與開關。\n"
)
KOREAN = (
    "국가코드,출원번호,공개번호,발명의 명칭,요약\n"
    "KR,10-2026-0000001,10-2026-0000002,직기 및 그 제어 방법,본 발명은 직기에 관한 것이다.\n"
)
RUSSIAN = "Номер;Название;Реферат\nRU2900001C1;Ткацкий станок;Изобретение относится к насосам.\n"
GREEK = "Αριθμός;Τίτλος\nGR1;Μέθοδος ύφανσης και αντλία\nGR2;Συσκευή για την άντληση νερού\n"
CZECH = "Číslo;Název\nCZ1;Tkalcovský stav a způsob řízení čerpadla\nCZ2;Zařízení k měření průtoku\n"
POLISH = (
    "Numer;Tytuł\nPL1;Krosno i sposób wytłaczania osłony\nPL2;Urządzenie do chłodzenia głowicy\n"
)
HUNGARIAN = "Szám;Cím\nHU1;Szövőgép és működtetése\nHU2;Gyűjtőberendezés hűtővízhez\n"

LEGACY = [
    ("cp932", JAPANESE),
    ("euc_jp", JAPANESE),
    ("iso2022_jp", JAPANESE),
    ("gb18030", SIMPLIFIED),
    ("cp950", TRADITIONAL),
    ("cp949", KOREAN),
    ("cp1251", RUSSIAN),
    ("cp1253", GREEK),
    ("cp1250", CZECH),
    ("cp1250", POLISH),
    ("cp1250", HUNGARIAN),
]


@pytest.mark.parametrize(("encoding", "text"), LEGACY)
@pytest.mark.parametrize("times", [1, 50])
def test_lists_of_patents_are_read_in_their_encoding(encoding: str, text: str, times: int):
    content = (text * times).encode(encoding)
    assert encoding_of(content) == encoding
    assert decoded(content) == text * times


@pytest.mark.parametrize("text", [JAPANESE, SIMPLIFIED, TRADITIONAL, KOREAN, RUSSIAN, GREEK])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
def test_the_same_lists_in_unicode_need_no_mark(text: str, encoding: str):
    assert decoded(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("encoding", "name", "text"),
    [
        ("cp932", "Shift_JIS", JAPANESE),
        ("gb18030", "GB18030", SIMPLIFIED),
        ("cp949", "EUC-KR", KOREAN),
        ("iso2022_jp", "ISO-2022-JP", JAPANESE),
    ],
)
def test_the_line_of_what_was_recognised_names_the_encoding(
    tmp_path: Path, encoding: str, name: str, text: str
):
    path = tmp_path / "export.csv"
    path.write_bytes(text.encode(encoding))
    table = open_table(path)
    assert f"', {name}, header in line 1" in table.recognised
    assert {"id", "title"} < set(table.roles)
    (row,) = table.rows()
    assert list(row.fields.values())[: len(table.columns)] == text.splitlines()[1].split(",")


GERMAN = "Gerät zum Öffnen größerer Gefäße – für Flüssigkeiten, 50 m³ je Stunde bei 20 °C."
WESTERN = [
    *("Gerät", "größer", "ÄÖÜäöüß", "Öl", "é", "ÉTÉ", "à", "Maß", "5 µm", "20 °C", "½", "m³", "”­–"),
    *(GERMAN, "Les procédés à été – réalisés où l’œuvre naît.", "¿Qué señal? Año, niño, 1ª, 2º"),
    *("Método de produção à mão: ações e corações", "Così è più facile, perché", "Blåbærgrød æøå"),
    *("The loom’s “reed”, it’s 3 m² ± 5 % × 2", "¹H NMR, ¹³C, ³He, cm³/h, m³h, «x», 1¼in"),
    *(
        "L’ensemble d’une d’un d’usage",
        "Smörgåsbord på ön är välkänd",
        "naïve façade coöperatie",
        "Kjøretøy og fremgangsmåte",
    ),
    f"{GERMAN} Método de señales, procédé à été, così è.",
]


@pytest.mark.parametrize("text", WESTERN)
@pytest.mark.parametrize("times", [1, 30])
def test_western_texts_stay_in_windows_1252(text: str, times: int):
    content = "\n".join([text] * times).encode("cp1252")
    assert encoding_of(content) == "cp1252"
    upper = "\n".join([text.upper()] * times).encode("cp1252", errors="ignore")
    assert upper.isascii() or encoding_of(upper) == "cp1252"


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        # Of letters that are not ASCII alone, any word could be one of another alphabet.
        st.builds(
            "{}{}{}".format,
            st.sampled_from("abdehnort"),
            st.text("abcdefghinorstuäöüßéèêàçîôñáíóúæøå°²³µ×", max_size=8),
            st.sampled_from(["", ".", ",", ";", "’", "”", " –"]),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_words_of_western_letters_are_never_of_another_alphabet(words: list[str]):
    content = " ".join(words).encode("cp1252")
    assert legacy_encoding(content) in ("cp1252", "cp1250")


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(LEGACY), st.integers(0, 60))
def test_a_beginning_may_end_within_a_character(legacy: tuple[str, str], cut: int):
    encoding, text = legacy
    content = (text * 3).encode(encoding)
    assert encoding_of(content[: len(content) - cut]) == encoding


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=80))
def test_any_bytes_have_an_encoding(content: bytes):
    assert isinstance(legacy_encoding(content), str)


def test_a_megabyte_is_recognised_at_once():
    content = (RUSSIAN * 20_000).encode("cp1251")[:SAMPLE]
    began = time.perf_counter()
    assert encoding_of(content) == "cp1251"
    assert time.perf_counter() - began < 5


def test_damaged_bytes_are_errors_of_their_rows(tmp_path: Path):
    path = tmp_path / "a.csv"
    lines = SIMPLIFIED.encode("gb18030").splitlines()
    path.write_bytes(b"\n".join([*lines, *[lines[1]] * 9, b"CN\xff\xff,,,x,y"]))
    errors = [row.error for row in open_table(path).rows()]
    assert errors == [None] * 10 + ["undecodable: not GB18030"]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
@pytest.mark.parametrize(("encoding", "text"), LEGACY)
def test_json_is_read_in_them_too(tmp_path: Path, name: str, encoding: str, text: str):
    row = json.dumps({"id": "1", "text": text}, ensure_ascii=False)
    path = tmp_path / name
    path.write_bytes((f"[{row}]" if name == "a.json" else f"{row}\n{row}\n").encode(encoding))
    assert {row.fields["text"] for row in open_table(path).rows()} == {text}
