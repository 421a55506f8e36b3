"""Every instruction: responses that follow it, and responses that do not."""

from __future__ import annotations

from typing import Any

import pytest

from rayreward.instructions.registry import CHECKS, read_instructions

ENGLISH = "the dog sleeps in the garden behind the house"
GERMAN = "der hund schläft im garten hinter dem haus"

CASES: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    (
        "change_case:capital_word_frequency", {"capital_relation": "at least", "capital_frequency": 2},
        ["NOW or NEVER", "**NOW**, (AGAIN)", "I SAY", "ALL-CAPS U.S.A."],
        ["NOW or never", "ALL-CAPS", "DON'T go", "Now Never"],
    ),
    (
        "change_case:capital_word_frequency", {"capital_relation": "less than", "capital_frequency": 2},
        ["none", "ONE only", "123 456"], ["ONE TWO", "A NASA man", "I AM"],
    ),
    (
        "change_case:english_capital", {},
        [ENGLISH.upper(), f"1. {ENGLISH.upper()}!", "YES."],
        [ENGLISH, ENGLISH.capitalize(), GERMAN.upper(), "123", "СОБАКА СПИТ"],
    ),
    (
        "change_case:english_lowercase", {},
        [ENGLISH, f"* {ENGLISH}\n* {ENGLISH}?", "yes."],
        [ENGLISH.upper(), ENGLISH.capitalize(), GERMAN, "***"],
    ),
    (
        "combination:repeat_prompt", {"prompt_to_repeat": "Write a Poem. "},
        ["Write a Poem.\nRoses", "  write a poem. Roses", "WRITE A POEM."],
        ["Sure. Write a Poem.", "Write a poem\nRoses", "Roses"],
    ),
    (
        "combination:two_responses", {},
        ["one\n******\ntwo", "******\none ****** two ******", "a******b"],
        ["one", "one\n******\none ", "one ****** two ****** three", "one ****** ****** two", "one ***** two"],
    ),
    (
        "detectable_content:number_placeholders", {"num_placeholders": 2},
        ["[a] [b]", "[[a]] and [b]", "[a][b][c]"],
        ["[a]", "[] [ ]", "[a\n] b]", "no"],
    ),
    (
        "detectable_content:postscript", {"postscript_marker": "P.S."},
        ["Bye.\nP.S. Hi", "bye p. s. hi", "P.S.hi"], ["PS: hi", "postscript", "P.S"],
    ),
    (
        "detectable_content:postscript", {"postscript_marker": "P.P.S"},
        ["P.P.S hi", "p. p. s hi", "P.P.S. hi"], ["P.S. hi", "PPS hi", "no"],
    ),
    ("detectable_content:postscript", {"postscript_marker": "N.B."}, ["n.b. x", "a N.B."], ["P.S.", "nob."]),
    (
        "detectable_format:constrained_response", {},
        ["My answer is yes.", "So: My answer is no.", "*My answer is maybe.*"],
        ["yes", "my answer is yes.", "My answer is yes", "My answer is yes. My answer is no."],
    ),
    (
        "detectable_format:json_format", {},
        ['{"a": [1, 2]}', '```json\n{"a": 1}\n```', "```\n[]\n```", " ```JSON\n3```"],
        ["{a: 1}", 'Sure: {"a": 1}', "```json\n{\n```", "NaN", "[" * 100_000],
    ),
    (
        "detectable_format:multiple_sections", {"section_spliter": "SECTION", "num_sections": 2},
        ["SECTION 1\na\nSECTION 2\nb", "SECTION1 SECTION2 SECTION3", "**SECTION 1** a **SECTION 2**"],
        ["SECTION 1", "Section 1 Section 2", "SECTION one SECTION two"],
    ),
    (
        "detectable_format:number_bullet_lists", {"num_bullets": 2},
        ["* a\n* b", "- a\ntext\n  * b", "* a\n---\n- b\n* * *", "-a\n-b"],
        ["* a", "* a\n* b\n* c", "**a**\n**b**", "1. a\n2. b"],
    ),
    (
        "detectable_format:number_highlighted_sections", {"num_highlights": 2},
        ["*a* and *b*", "**a** *b*", "* **a**\n* **b**", "***a*** *b c*"],
        ["*a*", "***a***", "* a\n* b", "****  ** **", "*a\nb* *c*"],
    ),
    (
        "detectable_format:title", {},
        ["<<A title>>\ntext", "x <<a>> y", "<<< a >>"], ["<a title>", "<<>>", "<< >>", "<<a\nb>>", ">>a<<"],
    ),
    (
        "keywords:existence", {"keywords": ["Tea", "c++"]},
        ["tea and C++", "STEAM, c++", "c++tea"], ["tea", "c+ and tea", "coffee"],
    ),
    (
        "keywords:forbidden_words", {"forbidden_words": ["tea", "c++"]},
        ["coffee", "steam", "c+"], ["Tea.", "I write c++ code", "tea\nc++"],
    ),
    (
        "keywords:frequency", {"keyword": "war", "frequency": 2, "relation": "at least"},
        ["war, War", "warwar", "a war toward"], ["war", "wa r", "peace"],
    ),
    (
        "keywords:frequency", {"keyword": "war", "frequency": 2, "relation": "less than"},
        ["war", "peace", "wa r"], ["war war", "toward WAR", "war war war"],
    ),
    (
        "keywords:letter_frequency", {"letter": "E", "let_frequency": 2, "let_relation": "at least"},
        ["eel", "E e", "there"], ["e", "none", "é e"],
    ),
    (
        "keywords:letter_frequency", {"letter": "!", "let_frequency": 2, "let_relation": "less than"},
        ["a!", "abc", "?"], ["!!", "a! b!", "!!!"],
    ),
    (
        "language:response_language", {"language": "de"},
        [GERMAN, "Guten Morgen, wie geht es dir?", f"{GERMAN}\n{GERMAN}. the dog"],
        [ENGLISH, "12345 ***", "Собака бежит по лесу", f"{ENGLISH} {ENGLISH} {GERMAN}"],
    ),
    (
        "language:response_language", {"language": "th"},
        ["สวัสดีครับ", "สุนัขวิ่งผ่านป่า", "สุนัขวิ่งผ่านป่า (dog)"], [ENGLISH, "สวัสดี hello and good morning to you", "!"],
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Weekend"},
        ["a\n\nweekend b", "a\n\n'Weekend' b", "a\n\n\n\nWEEKEND, b"],
        ["weekend a\n\nb", "a\n\nweekend\n\nc", "a\n\nweekends b", "a\nweekend b"],
    ),
    (
        "length_constraints:number_paragraphs", {"num_paragraphs": 2},
        ["a\n***\nb", "a *** b", "***\na\n***\nb\n***"], ["a", "a\n\nb", "a\n***\n***\nb", "a *** b *** c"],
    ),
    (
        "length_constraints:number_sentences", {"num_sentences": 2, "relation": "at least"},
        ["One. Two.", "Is it? yes!", "One.\nTwo"], ["One", "Dr. Who met J. Bond", "! ? . ..."],
    ),
    (
        "length_constraints:number_sentences", {"num_sentences": 2, "relation": "less than"},
        ["One.", "It costs 3.50 dollars", "no dot"], ["One. Two.", "Really?! yes.", "They sat. B ran. it"],
    ),
    (
        "length_constraints:number_words", {"num_words": 3, "relation": "at least"},
        ["a b c", "well-known fact", "don't go"], ["a b", "a - b !", "मैं हूँ"],
    ),
    (
        "length_constraints:number_words", {"num_words": 3, "relation": "less than"},
        ["a b", "one", "- - - -"], ["a b c", "a-b-c", "1 2 3"],
    ),
    ("punctuation:no_comma", {}, ["a; b", "a", "a. b!"], ["a, b", ",", "1,000"]),
    (
        "startend:end_checker", {"end_phrase": "Peace!"},
        ["War and Peace!", "so: peace!\n", 'he said: "Peace!"'], ["Peace! Bye.", "Peace", "war"],
    ),
    ("startend:quotation", {}, ['"a"', ' "a b"\n', '""'], ['"', "'a'", '"a" b', "“a”"]),
]  # fmt: skip

FOLLOWING = [(name, given, text) for name, given, following, _ in CASES for text in following]
VIOLATING = [(name, given, text) for name, given, _, violating in CASES for text in violating]


def test_every_instruction_has_three_of_each() -> None:
    for cases in (FOLLOWING, VIOLATING):
        names = [name for name, _, _ in cases]
        assert {name for name in CHECKS if names.count(name) < 3} == set()


@pytest.mark.parametrize(("name", "given", "text"), FOLLOWING)
def test_follows(name: str, given: dict[str, Any], text: str) -> None:
    [instruction] = read_instructions([name], [given])
    assert instruction.ask(text).is_followed, instruction.ask(text).reason
    assert instruction.ask_loosely(text) == instruction.ask(text)


@pytest.mark.parametrize(("name", "given", "text"), VIOLATING)
def test_does_not_follow(name: str, given: dict[str, Any], text: str) -> None:
    [instruction] = read_instructions([name], [given])
    found = instruction.ask(text)
    assert not found.is_followed
    assert found.reason


@pytest.mark.parametrize(
    ("name", "given", "text", "left_out"),
    [
        ("startend:quotation", {}, 'Sure:\n"yes"', "the first line"),
        ("startend:end_checker", {"end_phrase": "Bye!"}, "Well. Bye!\nHope this helps.", "the last line"),
        ("detectable_format:json_format", {}, "Here:\n{}\nDone.", "the first and the last line"),
        ("startend:quotation", {}, '*"yes"*', "asterisks"),
        ("startend:quotation", {}, 'Sure:\n**"yes"**', "the first line and asterisks"),
    ],
)
def test_loosely_an_introduction_does_not_count(name: str, given: dict[str, Any], text: str, left_out: str) -> None:
    [instruction] = read_instructions([name], [given])
    assert not instruction.ask(text).is_followed
    found = instruction.ask_loosely(text)
    assert found.is_followed
    assert found.reason.endswith(f"(without {left_out})")


HOSTILE = [
    "*",
    "[",
    "\n",
    " ",
    "<<",
    "{",
    "[1,",
    '{"a":',
    "*a",
    "- ",
    ". ",
    "a. ",
    "P. ",
    "`",
    "\ud800",
    "\0",
    "中",
    "p.s",
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_a_hostile_megabyte_is_just_another_response(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    for name, given, _, _ in CASES:
        [instruction] = read_instructions([name], [given])
        assert instruction.ask(text).reason
