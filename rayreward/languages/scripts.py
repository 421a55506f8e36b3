"""The words of a text, each with the script that it is written in, and the scripts of the languages.

What arrives: any text. What leaves: its words in order. Where words have spaces between them a word is one; a Chinese
or Japanese character counts as a word, and so do four letters of Thai, Lao, Khmer or Burmese.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_BLOCKS = {
    "latin": "A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02af\u1e00-\u1eff\ua722-\ua7ff"
    "\uff21-\uff3a\uff41-\uff5a",
    "greek": "\u0370-\u037d\u0386-\u03ff\u1f00-\u1fff",
    "cyrillic": "\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f",
    "armenian": "\u0531-\u0587",
    "hebrew": "\u0591-\u05f4\ufb1d-\ufb4f",
    "arabic": "\u0610-\u061a\u0620-\u065f\u066e-\u06d3\u06d5-\u06ff"
    "\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefc",
    "devanagari": "\u0900-\u0963\u0971-\u097f\ua8e0-\ua8ff",
    "bengali": "\u0980-\u09e3\u09f0-\u09ff",
    "gurmukhi": "\u0a00-\u0a65\u0a70-\u0a7f",
    "gujarati": "\u0a80-\u0ae3\u0af0-\u0aff",
    "oriya": "\u0b00-\u0b65\u0b70-\u0b7f",
    "tamil": "\u0b80-\u0be5\u0bf0-\u0bff",
    "telugu": "\u0c00-\u0c65\u0c70-\u0c7f",
    "kannada": "\u0c80-\u0ce5\u0cf0-\u0cff",
    "malayalam": "\u0d00-\u0d65\u0d70-\u0d7f",
    "sinhala": "\u0d80-\u0de5\u0df0-\u0dff",
    "thai": "\u0e00-\u0e4e",
    "lao": "\u0e80-\u0ece\u0ed8-\u0eff",
    "tibetan": "\u0f00\u0f40-\u0fbf",
    "burmese": "\u1000-\u103f\u1050-\u109f",
    "georgian": "\u10a0-\u10ff\u1c90-\u1cbf",
    "ethiopic": "\u1200-\u135f\u1380-\u139f",
    "khmer": "\u1780-\u17d3\u17d7-\u17dd",
    "hangul": "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3",
    "kana": "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\uff66-\uff9f",
    "han": "\u3005\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f",
}
"""Letters and the signs that belong to them, as ranges of a regular expression; digits and punctuation are no words."""

_RUNS = re.compile(f"[{''.join(_BLOCKS.values())}'\u2019]+")
"""Letters of any script: one set, so that what is no letter is passed quickly."""

_WORDS = re.compile("|".join(f"(?P<{script}>[{block}][{block}'\u2019]*)" for script, block in _BLOCKS.items()))

_LETTERS_A_WORD = {"kana": 1, "han": 1, "thai": 4, "lao": 4, "khmer": 4, "burmese": 4}
"""Scripts that put no spaces between words: about how many letters one word has."""

_SCRIPTS: dict[str, tuple[str, ...]] = {
    "am": ("ethiopic",), "bo": ("tibetan",), "dz": ("tibetan",), "el": ("greek",), "grc": ("greek",),
    "gu": ("gujarati",), "hy": ("armenian",), "ja": ("kana", "han"), "ka": ("georgian",), "km": ("khmer",),
    "kn": ("kannada",), "ko": ("hangul",), "lo": ("lao",), "ml": ("malayalam",), "my": ("burmese",),
    "or": ("oriya",), "si": ("sinhala",), "ta": ("tamil",), "te": ("telugu",), "th": ("thai",),
    "pa": ("gurmukhi", "arabic"), "sr": ("cyrillic", "latin"), "bs": ("latin", "cyrillic"),
    "uz": ("latin", "cyrillic"), "uzs": ("arabic",), "az": ("latin", "cyrillic", "arabic"),
    "ku": ("latin", "arabic"), "kk": ("cyrillic", "latin", "arabic"), "crh": ("latin", "cyrillic"),
    "tt": ("cyrillic", "latin"), "tk": ("latin", "cyrillic"), "gom": ("devanagari", "latin"),
    **dict.fromkeys(("he", "hbo", "yi"), ("hebrew",)),
    **dict.fromkeys(("as", "bn"), ("bengali",)),
    **dict.fromkeys(("zh", "yue", "wuu"), ("han",)),
    **dict.fromkeys(("hi", "mr", "ne", "sa"), ("devanagari",)),
    **dict.fromkeys(("ba", "be", "bg", "ky", "mk", "mn", "ru", "tg", "uk"), ("cyrillic",)),
    **dict.fromkeys(("ar", "ary", "arz", "fa", "ps", "sd", "sdh", "ug", "ur"), ("arabic",)),
}  # fmt: skip
"""By ISO 639-1 code, or ISO 639-3 where there is no shorter one; a language that is not here is written in Latin."""


class Word(NamedTuple):
    """A word, its script, and how many words it counts as."""

    text: str
    script: str
    word_count: int


def words_of(text: str) -> Iterator[Word]:
    """The words of `text`, in order.

    Example:
        >>> [(word.text, word.script, word.word_count) for word in words_of("It's 3 \u8a9e\u8a00")]
        [("It's", 'latin', 1), ('\u8a9e\u8a00', 'han', 2)]
    """
    for run in _RUNS.findall(text):
        if run.isascii() and run[0] != "'":
            yield Word(run, "latin", 1)
            continue
        for match in _WORDS.finditer(run):
            script = str(match.lastgroup)
            letters = _LETTERS_A_WORD.get(script)
            yield Word(match[0], script, 1 if letters is None else -(-len(match[0]) // letters))


def scripts_of(language: str) -> tuple[str, ...]:
    """The scripts that a language is written in, the usual one first."""
    return _SCRIPTS.get(language, ("latin",))
