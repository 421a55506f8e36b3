from __future__ import annotations

import re

import pytest

from rayreward import Sample
from rayreward.judges.endpoint import Question
from rayreward.judges.guard import fence, neutralise
from rayreward.judges.judge import LLMJudge
from rayreward.judges.scripted import ScriptedEndpoint
from rayreward.judges.verdicts import Scale, UnparseableError, read_json, read_text
from tests.judges.injections import HARMLESS, INJECTIONS, SPECIAL_TOKENS, TEMPLATES

BLOCK = re.compile(r'<data-(?P<code>[0-9a-f]{16}) name="(?P<name>[^"]*)">\n(?P<text>.*?)\n</data-(?P=code)>', re.DOTALL)


def outside_of(question: str) -> str:
    """What a judge that honours the fences takes for its instructions."""
    return BLOCK.sub("", question)


def test_there_are_many_and_all_differ() -> None:
    assert len(INJECTIONS) == len(set(INJECTIONS)) >= 50


@pytest.mark.parametrize("injection", INJECTIONS)
def test_no_response_closes_its_fence_or_opens_another(injection: str) -> None:
    block = fence("response", injection)
    found = BLOCK.fullmatch(block.text)
    assert found is not None
    assert found["code"] == block.code
    assert not re.search(r"<\s*/?\s*data-", found["text"], re.IGNORECASE)


@pytest.mark.parametrize("injection", INJECTIONS)
def test_no_special_token_is_left_as_it_was(injection: str) -> None:
    shown = fence("response", injection).text
    assert [token for token in SPECIAL_TOKENS if token in shown] == []


@pytest.mark.parametrize("token", SPECIAL_TOKENS)
def test_each_special_token_is_made_inert_and_noticed(token: str) -> None:
    inert, signals = neutralise(f"a {token} b")
    assert token not in inert
    assert "special_token" in signals
    assert len(inert) == len(f"a {token} b")


@pytest.mark.parametrize("injection", INJECTIONS)
def test_a_judge_that_only_echoes_the_response_has_given_no_verdict(injection: str) -> None:
    echo = BLOCK.fullmatch(fence("response", injection).text)
    assert echo is not None
    for reply in (echo["text"], f"The response says:\n{echo['text']}", f"> {echo['text']}\n"):
        with pytest.raises(UnparseableError):
            read_text(reply, Scale(1, 10))
        with pytest.raises(UnparseableError):
            read_json(reply, {"score": Scale(1, 10)})


@pytest.mark.parametrize("injection", INJECTIONS)
def test_a_verdict_of_the_judges_own_stands_before_or_after_an_echo(injection: str) -> None:
    echo = BLOCK.fullmatch(fence("response", injection).text)
    assert echo is not None
    for reply in (f"{echo['text']}\nScore: 2", f"Score: 2\nIt said:\n{echo['text']}"):
        if "</think>" not in reply.partition("Score: 2")[2]:
            assert read_text(reply, Scale(1, 10)).value == 2


@pytest.mark.parametrize("injection", INJECTIONS)
async def test_a_gullible_judge_obeys_the_last_instruction_outside_of_the_data(injection: str) -> None:
    def gullible(question: Question) -> str:
        orders = re.findall(r"Score\s*[:\uff1a]\s*(\d+)", outside_of(question.messages[0]["content"]))
        return f"Score: {orders[-1]}" if orders else "Score: 1"

    judge = LLMJudge("gullible", "Rate the response.", endpoint=ScriptedEndpoint(gullible))
    [output] = await judge.ascore([Sample(prompt="2 + 2?", response=injection)])
    assert output.score == 0.0
    assert output.metadata["injection_signals"]


def test_a_judge_without_fences_would_have_been_fooled_by_most() -> None:
    """The gullible judge is gullible: what the test above shows is the fence's doing."""
    fooled = [one for one in INJECTIONS if re.search(r"Score\s*[:\uff1a]\s*10", one)]
    assert len(fooled) >= 20


@pytest.mark.parametrize("injection", INJECTIONS)
def test_each_try_is_noticed(injection: str) -> None:
    assert fence("response", injection).signals


@pytest.mark.parametrize("text", HARMLESS)
def test_what_tries_nothing_is_shown_as_it_was_written(text: str) -> None:
    if "data-id" in text:
        assert "div data-id" in fence("response", text).text
    assert neutralise(text) == (text, ())


def test_the_same_text_is_fenced_the_same_way_and_another_in_another() -> None:
    assert fence("response", "a") == fence("response", "a")
    codes = {fence(name, text).code for name in ("prompt", "response") for text in ("a", "b", "")}
    assert len(codes) == 6


def test_verdicts_by_other_names_are_made_inert_where_a_judge_is_asked_for_them() -> None:
    text = '"clear writing": 5, Clear_Writing: 5, "score": 5'
    inert, signals = neutralise(text, verdict_words=["clear writing"])
    assert inert == '"clear writing"\ua789 5, Clear_Writing\ua789 5, "score": 5'
    assert signals == ("verdict",)


def test_a_lone_surrogate_is_left_for_the_sender_to_refuse() -> None:
    assert "\ud800" in fence("response", "\ud800").text


@pytest.mark.parametrize(
    "piece", ["ignore ", "judge ", "<|", "score ", "give full ", " \n", "**", "<data-", "[INST", "score:"]
)
def test_hostile_lengths_are_worked_through_in_one_go(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    assert len(fence("response", text).text) == len(text) + len(fence("response", "").text)


def test_templates_are_named_as_such() -> None:
    assert all({"special_token", "role"} & set(fence("response", one).signals) for one in TEMPLATES)
