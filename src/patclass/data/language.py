"""The language of a text, by its script and its function words. Knows words, no models.

About a third of the words of any text are the few that join the others, and no two languages share
them. Words that English has too stand in its list only. Measured in docs/log.md.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

NAMES = {
    "da": "Danish",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "sv": "Swedish",
    "zh": "Chinese",
}

# Languages of other scripts than Latin.
OTHER_SCRIPTS = ("ja", "ko", "ru", "zh")

_FUNCTION_WORDS = {
    "da": "og en et af på som er med den det til om har kan ikke fra eller ved mellem "
    "mindst samt der hvor blive bliver hvilken omfatter",
    "de": "der die das und den von dem des mit zu ist im auf eine einer ein einen einem eines für "
    "sich wird werden oder durch nach bei aus sowie wobei sind zum zur dass nicht diese dieser "
    "mindestens zwischen welche umfassend umfasst kann wenn auch über bis vom hat aufweist",
    "en": "the of and to in is for with that by on an are be as or from at which this it can may "
    "has have having into wherein between each one such not but these their when first second "
    "more than also include includes including comprises comprising being other using used use "
    "provided",
    "es": "el la los las de del y en un una que se con por para al es su sus como más está este "
    "esta entre cuyo donde según comprende dicho dicha puede son lo",
    "fr": "le la les de des du et un une en à au aux par pour dans est sur que qui avec sont ou "
    "ce cette ces dont se il elle ainsi entre peut être comprend comprenant moins ladite ledit "
    "lequel laquelle selon",
    "it": "il lo la gli le di del della dello dei degli delle un una uno che con per da dal dalla "
    "al alla è sono nel nella su si come ed tra cui essere detto detta comprende",
    "nl": "de het een van en te met voor dat die door aan bij zijn wordt worden uit tot als naar "
    "ten om waarbij omvat tussen ook deze dit niet kan",
    "pl": "i w z na do że się jest oraz lub przez dla od po który która które jako ten tego za są "
    "ma ze przy nie korzystnie zawiera pomiędzy",
    "pt": "os de da dos das em na nos nas um uma que com por para ao à é são se ou como mais entre "
    "pelo pela dito dita compreende sendo",
    "ru": "и в на с по из для от к или при что как не его которого который которая которые а "
    "также между более содержит до за о",
    "sv": "och att en ett av på som är för med den det till om har kan inte från eller vid genom "
    "mellan minst samt innefattar",
}
_LANGUAGES_OF = {
    word: [code for code, words in _FUNCTION_WORDS.items() if word in words.split()]
    for words in _FUNCTION_WORDS.values()
    for word in words.split()
}
_WORD = re.compile(r"[^\W\d_]+")
_KANA = re.compile("[\u3040-\u30ff]")
_HAN = re.compile("[\u3400-\u9fff]")
_HANGUL = re.compile("[\uac00-\ud7a3]")

# A text of fewer words, or of fewer characters in a script without spaces, is not judged.
MIN_WORDS = 15
MIN_CHARACTERS = 20

# What is looked at of a longer text.
_CHECKED_CHARACTERS = 5_000

# The share of function words from which on a text is of a language. Of 71,258 texts that are called
# English, 4 have so many of another one and less than half as many English ones, and are of that
# other language (docs/log.md).
_SHARE = 0.15

# A model knows the languages that so many of its training texts are of.
_KNOWN = 0.05


def language_of(text: str) -> str | None:
    """The ISO 639-1 code of a text's language; None if it is too short or of none of ``NAMES``."""
    shares = _shares(text)
    return _best(shares) if shares else None


def other_language(text: str, known: Collection[str]) -> str | None:
    """The language of a text if it is none of the known ones; None if that is not certain.

    :param known: ISO 639-1 codes.
    """
    shares = _shares(text)
    best = _best(shares) if shares else None
    if shares is None or best is None or not known:
        return None
    return best if all(shares[best] > 2 * shares.get(code, 0) for code in known) else None


def languages_of(texts: Iterable[str]) -> tuple[str, ...]:
    """The languages of at least 5 % of the texts that are long enough, most frequent first.

    Empty if most of these texts are of none of ``NAMES``.
    """
    judged = [shares for text in texts if (shares := _shares(text)) is not None]
    counts = Counter(map(_best, judged))
    if 2 * counts.pop(None, 0) >= len(judged):
        return ()
    return tuple(code for code, n in counts.most_common() if code and n >= _KNOWN * len(judged))


def language_names(codes: Iterable[str]) -> str:
    """Languages by name: ``German, French and Italian``."""
    *names, last = [NAMES.get(code, code) for code in codes] or [""]
    return f"{', '.join(names)} and {last}" if names else last


def _best(shares: Mapping[str, float]) -> str | None:
    best = max(shares, key=shares.__getitem__, default=None)
    return None if best is None or shares[best] < _SHARE else best


def _shares(text: str) -> dict[str, float] | None:
    """By language the share of its function words; None if the text is too short.

    A text without spaces between words is of one language by its characters.
    """
    text = text[:_CHECKED_CHARACTERS]
    if not text.isascii():
        kana, han, hangul = (len(found.findall(text)) for found in (_KANA, _HAN, _HANGUL))
        count = kana + han + hangul
        if 2 * count > sum(map(str.isalpha, text)):
            code = "ko" if 2 * hangul > count else "ja" if 50 * kana > count else "zh"
            return {code: 1.0} if count >= MIN_CHARACTERS else None
    words = _WORD.findall(text.lower())
    if len(words) < MIN_WORDS:
        return None
    counts = Counter(code for word in words for code in _LANGUAGES_OF.get(word, ()))
    return {code: count / len(words) for code, count in counts.items()}
