"""The encoding of a text by its bytes: of tables, documents, fields and standard input alike.

An older encoding is taken only if what it makes of the bytes is mostly what texts in its languages
are made of; Windows-1252 is what remains, since any bytes are some text in it. Knows frequent
characters, no files.
"""

import codecs
import re
from collections import Counter
from collections.abc import Collection, Mapping
from functools import partial
from typing import NamedTuple

from patclass.core.errors import DataError

# What is read ahead to recognise a file, in bytes.
SAMPLE = 1 << 20

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_NAMES = {
    **{"utf-8": "UTF-8", "utf-8-sig": "UTF-8", "cp1252": "Windows-1252", "utf-32": "UTF-32"},
    **{"utf-16": "UTF-16", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "cp950": "Big5"},
    **{"gb18030": "GB18030", "cp932": "Shift_JIS", "euc_jp": "EUC-JP", "cp949": "EUC-KR"},
    **{"cp1250": "Windows-1250", "cp1251": "Windows-1251", "cp1253": "Windows-1253"},
    **{"iso2022_jp": "ISO-2022-JP", "iso2022_kr": "ISO-2022-KR"},
}


def name_of(encoding: str) -> str:
    """An encoding as it is usually written."""
    return _NAMES.get(encoding, encoding)


def encoding_of(sample: bytes) -> str:
    """The encoding of a text by its beginning: by its mark, UTF-16, UTF-8, else an older one.

    :param sample: the whole text, or its first ``SAMPLE`` bytes.
    """
    for mark, encoding in _MARKS:
        if sample.startswith(mark):
            return encoding
    if (wide := _unmarked_wide(sample)) is not None:
        return wide
    if sample.isascii():
        return stateful_encoding(sample) or "utf-8"
    text = sample.decode("utf-8", errors="surrogateescape")
    if len(sample) >= SAMPLE:
        text = text[:-3]  # it may end within a character
    undecodable = sum("\ud800" <= char <= "\udfff" for char in text)
    decodable = sum(char > "\x7f" for char in text) - undecodable
    return "utf-8" if decodable >= undecodable else legacy_encoding(sample)


def _unmarked_wide(sample: bytes) -> str | None:
    """The kind of UTF-16 without a mark, which has its zeros in every second byte only."""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    encoding = "utf-16-le" if odd > even else "utf-16-be"
    most, least = max(even, odd), min(even, odd)
    if len(sample) < 16:
        return None
    if most > len(sample) / 4 > 2 * least:
        return encoding
    # Of other alphabets, only digits, spaces and delimiters have a zero.
    if 2 * least > most or most < max(2, len(sample) / 100):
        return None
    if _readable(sample.replace(b"\0", b""), "utf-8") > 0.8:
        return None
    whole = sample[: len(sample) // 2 * 2]
    return encoding if _readable(whole, encoding) > 0.98 else None


def _readable(content: bytes, encoding: str) -> float:
    """The share of characters that texts have; 0 if it is no text in this encoding."""
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return 0.0
    good = sum(char.isprintable() or char in "\t\r\n\u3000" for char in text)
    return good / max(1, len(text))


def errors_of(encoding: str) -> str:
    """How undecodable bytes are read: as surrogates, by which rows with them are found."""
    return "replace" if is_wide(encoding) or "2022" in encoding else "surrogateescape"


def is_wide(encoding: str) -> bool:
    """Whether an end of a line is more than one byte."""
    return encoding.startswith(("utf-16", "utf-32"))


def decoded(content: bytes) -> str:
    """A text in the encoding that is recognised, without its mark.

    :raises DataError: if it is no text in this encoding.
    """
    try:
        return content.decode(encoding_of(content[:SAMPLE]))
    except UnicodeDecodeError as problem:
        raise DataError(
            f"no text in UTF-8, UTF-16 or Windows-1252: {problem.reason} at byte "
            f"{problem.start + 1:,}; save it as UTF-8."
        ) from problem


# Of the lines with other characters than ASCII, so much decides; in bytes.
_ENOUGH = 1 << 16

_HIRAGANA = "".join(map(chr, range(0x3041, 0x3097)))
_KATAKANA = "".join(map(chr, range(0x30A1, 0x30FD)))


class _Script(NamedTuple):
    """Characters of an East Asian encoding.

    :param frequent: in texts and in lists of patents.
    :param codec: of the standard that orders its characters by how usual they are.
    :param usual: the first bytes of the more usual of them there.
    """

    frequent: str
    codec: str
    usual: range


_SIMPLIFIED = (
    "的一是在不了有和中大为上个以要时来用生到作地于出分对成会可主发年动同工能下过产种面而方后多"
    "定行法所得进等部度电力如水化高自理起小物现加量两体制机使点性应开合由其前外平形相全表间与关"
    "各重新线内数明原利比或质气第向此变结解系者通提程料位入式设及管件基流接组计处取据号称名申请"
    "公告日期权求书摘技术领域包括特征装置备构传感控热专"
)
_TRADITIONAL = (
    "的一是在不了有和中大為上個以要時來用生到作地於出分對成會可主發年動同工能下過產種面而方後多"
    "定行法所得進等部度電力如水化高自理起小物現加量兩體制機使點性應開合由其前外平形相全表間與關"
    "各重新線內數明原利比或質氣第向此變結解系者通提程料位入式設及管件基流接組計處取據號稱名申請"
    "公告日期權求書摘技術領域包括特徵裝置備構傳感控製熱專"
)
_KOREAN = (
    "이의는을에를한은가로하고및된다상기본발명장치방법위제조시스템것으구성대여있포함어지도사용정부"
    "전자와적해수신공인개화물체술출원번호등록일국칭요약청항특허반"
)
_JAPANESE = (
    "発明名称出願公開番号日装置及方法製造請求項要約課題解決手段特許登録人者権利半導体用部分電子式"
    "機能化合物文献件状態知分類"
)

_EAST_ASIAN: Mapping[str, _Script] = {
    "gb18030": _Script(_SIMPLIFIED, "gb2312", range(0xB0, 0xD8)),
    "cp932": _Script(_JAPANESE + _HIRAGANA + _KATAKANA, "euc_jp", range(0xB0, 0xD0)),
    "euc_jp": _Script(_JAPANESE + _HIRAGANA + _KATAKANA, "euc_jp", range(0xB0, 0xD0)),
    "cp949": _Script(_KOREAN, "euc_kr", range(0xB0, 0xC9)),
    "cp950": _Script(_TRADITIONAL, "big5", range(0xA4, 0xC7)),
}

# The letters of an alphabet of its own, and the most frequent ones.
_ALPHABETS = {
    "cp1251": (re.compile("[\u0400-\u04ff]+"), "оеаинтсрвлкі"),
    "cp1253": (re.compile("[\u0370-\u03ff]+"), "αοιετνσρςίόά"),
}

# Letters beside those of ASCII, of languages that are written in Windows-1252 and -1250.
_WESTERN = (
    *("äöüß", "éèêëàâçîïôûùœæ", "áéíóúñü¿¡", "ãõáéíóúâêôçà", "àèéìòùî", "æøåéöä"),
    *("åäöé", "éëïöüè", "ðþæöáéíóúý", "çàèéíïòóúü·"),
)
_CENTRAL = (
    *("áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "ąćęłńóśźż", "áéíóöőúüű", "čćžšđ"),
    *("ăâîșțşţ",),
)


def legacy_encoding(sample: bytes) -> str:
    """The older encoding of a text that is not in Unicode; Windows-1252 unless another is plain.

    :param sample: its beginning, which may end within a character.
    """
    part = _telling(sample)
    scores = {name: _east_asian(part, name) for name in _EAST_ASIAN}
    scores |= {name: _alphabetic(part, name) for name in _ALPHABETS}
    best = max(scores, key=scores.__getitem__)
    if scores[best] > 0:
        return best
    return "cp1250" if _is_central_european(part) else "cp1252"


def stateful_encoding(sample: bytes) -> str | None:
    """The encoding of a text in seven bits whose marks change the alphabet; None if it has none.

    :param sample: its beginning.
    """
    for mark, encoding in ((b"\x1b$)C", "iso2022_kr"), (b"\x1b$", "iso2022_jp")):
        if mark in sample and _decoded(sample, encoding, "strict") is not None:
            return encoding
    return None


def _telling(sample: bytes) -> bytes:
    """The first lines with other characters than ASCII."""
    lines, size = [], 0
    for line in sample.split(b"\n"):
        if not line.isascii():
            lines.append(line)
            size += len(line) + 1
            if size > _ENOUGH:
                break
    return b"\n".join(lines)[:_ENOUGH]


def _decoded(part: bytes, encoding: str, errors: str = "replace") -> str | None:
    """A text that may end within a character; None if it is none."""
    try:
        return codecs.getincrementaldecoder(encoding)(errors).decode(part)
    except UnicodeDecodeError:
        return None


def _east_asian(part: bytes, encoding: str) -> float:
    """How much of a text is made of frequent characters; 0 if too little, or too many are rare."""
    script = _EAST_ASIAN[encoding]
    # Punctuation and wide letters have no language.
    counts = Counter(
        char
        for char in _decoded(part, encoding) or ""
        if char > "\x7f" and not ("\u3000" <= char <= "\u303f" or "\uff01" <= char <= "\uff5e")
    )
    total = sum(counts.values())
    frequent = _count(counts, script.frequent)
    rare = sum(count for char, count in counts.items() if not _is_usual(char, script))
    # By chance, an apostrophe before a letter is one such character, in any number.
    if len(counts.keys() & set(script.frequent)) < 3 or frequent < total / 5 or rare > total / 5:
        return 0.0
    return (frequent - rare) / total


def _count(counts: Counter[str], chars: Collection[str]) -> int:
    return sum(counts[char] for char in set(chars))


def _is_usual(char: str, script: _Script) -> bool:
    if char in script.frequent:
        return True
    code = char.encode(script.codec, errors="ignore")
    return len(code) == 2 and code[0] in script.usual


def _alphabetic(part: bytes, encoding: str) -> float:
    """The share of frequent letters in the words of an alphabet; 0 if many words are mixed."""
    text = _decoded(part, encoding) or ""
    alphabet, frequent = _ALPHABETS[encoding]
    words = [word for word in re.findall(r"[^\W\d_]{2,}", text) if not word.isascii()]
    whole = "".join(filter(partial(_is_word, alphabet), words))
    found = _count(Counter(whole.lower()), frequent)
    # Signs such as a third power are letters of these alphabets, but few different ones.
    if len(set(whole.lower())) < 4:
        return 0.0
    if len(whole) < 6 or len(whole) < 0.8 * sum(map(len, words)) or found < 0.4 * len(whole):
        return 0.0
    return found / len(whole)


def _is_word(alphabet: re.Pattern[str], word: str) -> bool:
    cased = word.islower() or word.isupper() or word.istitle()
    return cased and alphabet.fullmatch(word) is not None


def _is_central_european(part: bytes) -> bool:
    """Whether the letters within words are of one language of Windows-1250, and of none of 1252.

    Signs beside words say nothing: what is the third power in one is a letter in the other.
    """
    central, western = (
        part.decode(name, errors="replace").lower() for name in ("cp1250", "cp1252")
    )
    if len(central) != len(western):
        return False
    places = [match.end() for match in re.finditer(r"[a-z](?=[^\W\d_a-z][^\W\d_]{2})", central)]
    other = [western[place] for place in places if central[place] != western[place]]
    if len(other) < 3:
        return False
    return _best(central, places, _CENTRAL) > max(0.95, _best(western, places, _WESTERN))


def _best(text: str, places: Collection[int], languages: Collection[str]) -> float:
    """The largest share of letters that belong to one language."""
    return max(sum(text[place] in letters for place in places) for letters in languages) / len(
        places
    )
