from __future__ import annotations

from typing import Any

import pytest

from rayreward.errors import ConfigError
from rayreward.rewards import LanguageConsistencyReward
from rayreward.types import FailureKind

ENGLISH = "The dog runs through the forest and looks for the stick."
GERMAN = "Der Hund läuft durch den Wald und sucht nach dem Stock."
CHINESE = "狗在森林里奔跑。"


@pytest.mark.parametrize(
    ("language", "response", "score"),
    [
        ("en", ENGLISH, 1.0),
        ("de", ENGLISH, 0.0),
        ("de", GERMAN, 1.0),
        ("zh", CHINESE, 1.0),
        ("en", CHINESE, 0.0),
        ("en", f"{ENGLISH}\n{GERMAN}", 0.5),
        ("en", f"{ENGLISH} {CHINESE}", 11 / 18),
        ("en", f"{ENGLISH}\n```python\nhund = stock\n```\nSee https://wald.example/stock and `hund`, \\(狗\\).", 1.0),
        ("en", "Yes.", 1.0),
        ("en", "42", 0.0),
        ("en", "", 0.0),
    ],
)
def test_is_the_share_of_words_in_the_language(language: str, response: str, score: float) -> None:
    assert LanguageConsistencyReward(language)(response=response).score == pytest.approx(score)


def test_says_what_script_and_detector_found() -> None:
    output = LanguageConsistencyReward("en")(response=f"{ENGLISH}\n{GERMAN}\n{CHINESE}")
    assert output.reason == "11 of 29 words are in 'en'"
    assert output.metrics["script"].reason == "7 of 29 words are in another script"
    assert output.metrics["detector"].reason == "11 of 22 words are in sentences of another language"


@pytest.mark.parametrize(
    ("fields", "score"),
    [
        ({"label": "de"}, 1.0),
        ({"label": {"language": "de-AT"}}, 1.0),
        ({"metadata": {"language": "de"}}, 1.0),
        ({"label": "en"}, 0.0),
    ],
)
def test_a_sample_may_name_the_language(fields: dict[str, Any], score: float) -> None:
    assert LanguageConsistencyReward("label")(response=GERMAN, **fields).score == score


def test_else_it_is_the_prompts() -> None:
    chat = [
        {"role": "system", "content": ENGLISH},
        {"role": "user", "content": GERMAN},
        {"role": "assistant", "content": GERMAN},
    ]
    assert LanguageConsistencyReward()(messages=chat).score == 1.0
    assert LanguageConsistencyReward()(prompt=ENGLISH, response=GERMAN).score == 0.0


def test_thinking_and_answer_are_judged_apart() -> None:
    response = f"<think>{GERMAN}</think>{ENGLISH}"
    assert LanguageConsistencyReward("de", part="thinking")(response=response).score == 1.0
    assert LanguageConsistencyReward("en", part="answer")(response=response).score == 1.0
    assert LanguageConsistencyReward("en", part="thinking")(response=ENGLISH).score == 0.0


@pytest.mark.parametrize(
    ("reward", "fields"),
    [
        (LanguageConsistencyReward("label"), {}),
        (LanguageConsistencyReward("label"), {"label": "german"}),
        (LanguageConsistencyReward("label"), {"label": 3}),
        (LanguageConsistencyReward(), {}),
        (LanguageConsistencyReward(), {"prompt": "2 + 2 = ?"}),
    ],
)
def test_without_a_language_nothing_is_scored(reward: LanguageConsistencyReward, fields: dict[str, Any]) -> None:
    failure = reward(response=ENGLISH, **fields).failure
    assert failure is not None
    assert failure.kind is FailureKind.INVALID_INPUT


@pytest.mark.parametrize("options", [{"language": "german"}, {"language": None}, {"part": "all"}])
def test_what_cannot_work_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        LanguageConsistencyReward(**options)


@pytest.mark.parametrize(
    "unit", ["*", "\n", " ", "<", "{", "`", "$", "\\(", "a ", "a. ", "\ud800", "\0", "中", "```\n"]
)
def test_a_hostile_megabyte_is_just_another_response(unit: str) -> None:
    output = LanguageConsistencyReward("en")(response=unit * (1_000_000 // len(unit)))
    assert output.failure is None
