from __future__ import annotations

import pytest

from rayreward.languages.scripts import scripts_of, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's 3 o'clock", [("It's", "latin", 1), ("o'clock", "latin", 1)]),
        ("'quoted'", [("quoted'", "latin", 1)]),
        ("用Python写", [("用", "han", 1), ("Python", "latin", 1), ("写", "han", 1)]),
        ("हिन्दी भाषा।", [("हिन्दी", "devanagari", 1), ("भाषा", "devanagari", 1)]),
        ("Привет, мир", [("Привет", "cyrillic", 1), ("мир", "cyrillic", 1)]),
        ("สวัสดีครับ", [("สวัสดีครับ", "thai", 3)]),
        ("... 12 * ' \ud800\0", []),
    ],
)
def test_words_have_their_script(text: str, words: list[tuple[str, str, int]]) -> None:
    assert [tuple(word) for word in words_of(text)] == words


def test_languages_have_scripts() -> None:
    assert scripts_of("ja") == ("kana", "han")
    assert scripts_of("de") == scripts_of("an unknown one") == ("latin",)
