from __future__ import annotations

import pytest

from rayreward.errors import ConfigError
from rayreward.languages.detector import is_written_in, known_language, likeliest_language

SENTENCES = {
    "ar": "الكلب يركض في الغابة ويبحث عن العصا التي فقدها بالأمس",
    "de": "Der Hund läuft durch den Wald und sucht nach einem Stock.",
    "en": "The dog runs through the forest and looks for a stick.",
    "es": "El perro corre por el bosque y busca el palo que perdió ayer.",
    "fr": "Le chien court dans la forêt et cherche le bâton perdu hier.",
    "hi": "कुत्ता जंगल में दौड़ता है और कल खोई हुई छड़ी ढूंढता है",
    "ja": "犬は森を走り、昨日なくした棒を探しています。",
    "ko": "개가 숲을 달리며 어제 잃어버린 막대기를 찾고 있습니다.",
    "ru": "Собака бежит по лесу и ищет палку, которую вчера потеряла.",
    "uk": "Собака біжить лісом і шукає палицю, яку вчора загубила.",  # noqa: RUF001
    "zh": "狗在森林里奔跑，寻找昨天丢失的棍子。",  # noqa: RUF001
}


@pytest.mark.parametrize("language", SENTENCES)
def test_a_sentence_is_in_its_language_and_in_no_other(language: str) -> None:
    text = SENTENCES[language]
    assert likeliest_language(text) == language
    assert [other for other in SENTENCES if is_written_in(text, other)] == [language]
    assert is_written_in(text.upper(), language)


@pytest.mark.parametrize("text", ["", "123 + 4", "!!!", "\ud800\0"])
def test_a_text_without_words_is_in_no_language(text: str) -> None:
    assert is_written_in(text, "en") is None
    assert likeliest_language(text) is None


def test_a_word_is_too_short_to_tell() -> None:
    assert likeliest_language("no") is None
    assert is_written_in("no", "en") is False
    assert is_written_in("no", "en", if_undecided=True) is True


def test_a_long_text_is_judged_by_more_than_its_beginning() -> None:
    assert is_written_in(SENTENCES["en"] * 200 + SENTENCES["ru"] * 2_000, "en") is False


@pytest.mark.parametrize(
    ("code", "known"), [("DE", "de"), ("zh-CN", "zh"), ("pt_BR", "pt"), ("nb", "no"), ("iw", "he")]
)
def test_codes_of_others_are_known(code: str, known: str) -> None:
    assert known_language(code) == known


def test_an_unknown_code_is_refused() -> None:
    with pytest.raises(ConfigError, match="'english' is no language's code"):
        known_language("english")
