from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import pytest

from rayreward import RewardOutput, Sample
from rayreward.errors import ConfigError, ServiceUnavailableError
from rayreward.judges.endpoint import Question
from rayreward.judges.scorecard import read_marks
from rayreward.judges.scripted import ScriptedEndpoint
from rayreward.judges.windows import cut_into_windows, one_scale
from rayreward.rewards import ListwiseJudge
from tests.judges.comparing import card, scores_by, shown, told_off_for


def judge(answer: Any, **options: Any) -> tuple[ListwiseJudge, ScriptedEndpoint]:
    endpoint = ScriptedEndpoint(answer)
    return ListwiseJudge("tiny", endpoint=endpoint, **options), endpoint


def group(*responses: str, **fields: Any) -> list[Sample]:
    return [
        Sample(prompt="2 + 2?", response=text, group_id="g", group_size=len(responses), **fields) for text in responses
    ]


def said(outputs: Sequence[RewardOutput]) -> list[float | str | None]:
    return [output.failure.kind.value if output.failure else output.score for output in outputs]


def worth(text: str) -> float:
    return len(text) / 32


async def test_one_request_scores_the_whole_group() -> None:
    reward, endpoint = judge(scores_by(worth))
    outputs = await reward.ascore(group("a", "bb", "cccc"))
    assert said(outputs) == [1 / 32, 2 / 32, 4 / 32]
    assert outputs[2].reason == f"it is {4 / 32}"
    assert len(endpoint.asked) == 1


async def test_what_candidates_share_is_shown_once_and_first() -> None:
    reward, endpoint = judge(scores_by(worth))
    start = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Go."}]
    chats = [
        [*start, {"role": "assistant", "content": "left"}, {"role": "user", "content": "on"}, _X],
        [*start, {"role": "assistant", "content": "right"}],
    ]  # fmt: skip
    await reward.ascore([Sample(chat, group_id="g") for chat in chats])
    texts = shown(endpoint.asked[0])
    assert next(iter(texts)) == "conversation"
    assert texts["conversation"] == "system: Be kind.\n\nuser: Go."
    assert sorted(texts.values())[:2] == ["assistant: left\n\nuser: on\n\nassistant: x", "right"]


_X = {"role": "assistant", "content": "x"}


async def test_the_order_that_candidates_are_shown_in_is_the_texts_own() -> None:
    asked = []
    for order in (("a", "bb", "ccc"), ("ccc", "a", "bb")):
        reward, endpoint = judge(scores_by(worth))
        await reward.ascore(group(*order))
        asked.append(endpoint.asked[0].messages)
    assert asked[0] == asked[1]


async def test_the_server_is_told_the_form_of_the_reply() -> None:
    reward, endpoint = judge(scores_by(worth))
    await reward.ascore(group("a", "bb"))
    schema: Any = endpoint.asked[0].json_schema
    assert schema["properties"]["scores"]["items"]["properties"]["candidate"]["enum"] == ["A", "B"]


async def test_twins_are_one_candidate_and_score_the_same() -> None:
    reward, endpoint = judge(scores_by(worth))
    outputs = await reward.ascore(group("a", "bb", "a"))
    assert outputs[0].score == outputs[2].score
    assert sum("candidate" in name for name in shown(endpoint.asked[0])) == 2


@pytest.mark.parametrize(
    "bad",
    [
        "no idea", card({"A": 0.5}), card({"A": 0.5, "B": 1.5}), card({"A": 0.5, "B": -0.1}),
        card({"A": 0.5, "C": 0.5}), card({"A": 0.5, "B": math.nan}), card({"A": 0.5, "B": True}),
        '{"scores": [7, "B"]}',
        card({"A": 0.5, "B": 0.1}).replace("]", ', {"candidate": "B", "score": 0.2}]'),
        f"{card({'A': 0.1, 'B': 0.2})} or {card({'A': 0.2, 'B': 0.1})}",
    ],
)  # fmt: skip
async def test_a_reply_that_lacks_a_score_is_asked_for_again(bad: str) -> None:
    reward, endpoint = judge([bad, bad, card({"A": 0.25, "B": 0.75})])
    assert sorted(said(await reward.ascore(group("x", "y")))) == [0.25, 0.75]  # type: ignore[type-var]
    assert [told_off_for(question) for question in endpoint.asked] == [None, bad, bad]


async def test_what_stays_missing_is_unparseable_and_the_others_keep_their_scores() -> None:
    replies = [card({"A": 0.1}), card({"A": 0.4, "B": 0.6}), "nothing"]
    reward, endpoint = judge(replies)
    outputs = await reward.ascore(group("x", "y", "z"))
    assert sorted(map(str, said(outputs))) == ["0.4", "0.6", "unparseable"]
    [lost] = [output.failure for output in outputs if output.failure]
    assert lost.message.startswith("no JSON object with 'scores'")
    assert len(endpoint.asked) == 3


async def test_a_judge_that_is_gone_fails_the_group_as_unavailable() -> None:
    reward, _ = judge(lambda _question: ServiceUnavailableError("gone"))
    assert said(await reward.ascore(group("x", "y"))) == ["unavailable", "unavailable"]


async def test_shuffles_are_other_orders_and_their_spread_is_a_component() -> None:
    reward, endpoint = judge(
        lambda question: card(
            {name[-1]: 0.9 if name[-1] == "A" else 0.3 for name in shown(question) if "cand" in name}
        ),
        shuffles=4,
    )
    outputs = await reward.ascore(group(*"abcd"))
    assert len({question.messages[-1]["content"] for question in endpoint.asked}) > 1
    assert len(endpoint.asked) == 4
    assert sum(output.score or 0.0 for output in outputs) == pytest.approx(0.9 + 3 * 0.3)
    assert any(output.metrics["shuffles_spread"].score == pytest.approx(0.6) for output in outputs)
    assert {output.metrics["shuffles_spread"].weight for output in outputs} == {0.0}


async def test_long_lists_are_cut_and_their_parts_made_one_scale() -> None:
    def harsh(question: Question) -> str:
        """A judge whose mood changes from one request to the next."""
        mood = 0.1 * (len(endpoint.asked) % 3)
        return scores_by(lambda text: worth(text) + mood)(question)

    reward, endpoint = judge(harsh, window=5)
    outputs = await reward.ascore(group(*("x" * size for size in range(1, 15))))
    scores = [output.score or 0.0 for output in outputs]
    assert scores == sorted(scores)
    steps = [high - low for low, high in itertools.pairwise(scores)]
    assert steps == pytest.approx([1 / 32] * 13)
    assert len(endpoint.asked) == 4


async def test_a_part_that_is_lost_costs_its_own_candidates() -> None:
    def answer(question: Question) -> str | Exception:
        return ServiceUnavailableError("gone") if len(endpoint.asked) == 1 else scores_by(worth)(question)

    reward, endpoint = judge(answer, window=5)
    outputs = await reward.ascore(group(*("x" * size for size in range(1, 9))))
    assert sorted(map(str, (output.failure and output.failure.kind for output in outputs)))[-3:] == ["unavailable"] * 3
    assert sum(output.is_valid for output in outputs) == 5


async def test_a_response_alone_is_scored_by_itself() -> None:
    reward, _ = judge(scores_by(worth))
    assert said(await reward.ascore(group("aaaa"))) == [4 / 32]


async def test_what_a_judge_cannot_read_fails_alone() -> None:
    picture = [{"role": "user", "content": [{"type": "image_url"}]}, {"role": "assistant", "content": "a cat"}]
    reward, endpoint = judge(scores_by(worth))
    assert said(await reward.ascore([*group("aa"), Sample(picture, group_id="g")])) == [2 / 32, "invalid_input"]
    assert said(await reward.ascore([Sample(picture, group_id="g")])) == ["invalid_input"]
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize("count", [1, 5, 6, 8, 9, 30])
def test_windows_hold_everyone_and_share_two(count: int) -> None:
    windows = cut_into_windows(count, 5)
    assert {at for places in windows for at in places} == set(range(count))
    assert all(len(places) <= 5 for places in windows)
    if len(windows) > 1:
        assert set(windows[0]).intersection(*windows[1:]) == {0, 1}
        assert len(windows) == -(-(count - 2) // 3)


def test_a_part_without_anchors_has_no_scale() -> None:
    assert one_scale([{0: 0.5, 1: 0.5, 2: 0.7}, {3: 0.9}], {0, 1}) == {2: 0.7, 0: 0.5, 1: 0.5}


def test_scores_that_are_moved_stay_in_their_range() -> None:
    assert one_scale([{0: 0.0, 2: 1.0}, {0: 1.0, 3: 0.2}], {0, 1}) == {2: 1.0, 3: 0.0, 0: 0.5}


def test_a_letter_beyond_the_list_is_nobodys() -> None:
    assert read_marks(card({"A": 0.5, "Z": 0.5}), 2).keys() == {0}


@pytest.mark.parametrize("options", [{"window": 3}, {"window": 27}, {"shuffles": 0}, {"criteria": ""}])
def test_what_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="ListwiseJudge"):
        ListwiseJudge("tiny", **options)
