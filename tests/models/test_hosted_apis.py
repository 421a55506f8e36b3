from __future__ import annotations

from typing import Any

import pytest

from rayreward.errors import ConfigError, InvalidInputError
from rayreward.models.hosted_apis import (
    APIS,
    NEMOTRON_WEIGHTS,
    Asked,
    AttributesApi,
    UnreadableReplyError,
    build_api,
)

CHAT = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}]
ASKED = Asked(CHAT, "2 + 2?", "4")
WITH_IDS = Asked(CHAT, "2 + 2?", "4", ids=(1, 5, 2))
NEMOTRON = "helpfulness:1.5,correctness:2.0,coherence:3.25,complexity:0.5,verbosity:-0.25"


def reply(text: Any, **choice: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", "content": text}, **choice}]}


def test_nemotrons_attributes_are_weighed_as_its_card_says_and_each_is_a_component() -> None:
    output = AttributesApi().read(reply(NEMOTRON))
    assert output.score == pytest.approx(0.3 * 1.5 + 0.74 * 2.0 + 0.46 * 3.25 + 0.47 * 0.5 + 0.33 * 0.25)
    assert {name: part.score for name, part in output.metrics.items()} == {
        "helpfulness": 1.5, "correctness": 2.0, "coherence": 3.25, "complexity": 0.5, "verbosity": -0.25,
    }  # fmt: skip
    assert {name: part.weight for name, part in output.metrics.items()} == dict(NEMOTRON_WEIGHTS)


def test_weights_choose_attributes_and_the_others_are_still_told() -> None:
    output = AttributesApi({"Helpfulness": 1.0}).read(reply(NEMOTRON))
    assert output.score == 1.5
    assert (output.metrics["verbosity"].score, output.metrics["verbosity"].weight) == (-0.25, 0.0)
    assert AttributesApi({"reward": 1.0}).read(reply("reward:-12.3")).score == -12.3


@pytest.mark.parametrize(
    "text",
    [
        "helpfulness: 1.5, correctness: 2",
        "Helpfulness = 1.5\nCorrectness = 2.0\n",
        " helpfulness:15e-1;correctness:2. ",
    ],
)
def test_the_pairs_may_be_written_in_any_usual_way(text: str) -> None:
    assert AttributesApi({"helpfulness": 1.0, "correctness": 1.0}).read(reply(text)).score == 3.5


def test_attributes_may_come_as_log_probabilities_where_the_text_is_empty() -> None:
    tokens = [{"token": "helpfulness", "logprob": 1.5}, {"token": "verbosity", "logprob": 0.5}]
    api = AttributesApi({"helpfulness": 1.0, "verbosity": -1.0})
    assert api.read(reply(None, logprobs={"content": tokens})).score == 1.0


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (reply("helpfulness:1.5,correctness:2.0"), "lacks coherence, complexity, verbosity"),
        (reply("I would rate its helpfulness: 4 of 4."), "is it a reward model"),
        (reply(f"{NEMOTRON} and more"), "is it a reward model"),
        (reply(f"{NEMOTRON},helpfulness:4"), "helpfulness twice"),
        (reply(NEMOTRON.replace("1.5", "nan")), "is it a reward model"),
        (reply(NEMOTRON.replace("1.5", "1e999")), "finite"),
        (reply(""), "neither a text nor"),
        (reply(None), "neither a text nor"),
        (reply(None, logprobs={"content": [{"token": "helpfulness", "logprob": "4"}]}), "finite"),
        ({"choices": []}, "0 of them"),
        ({"choices": None}, "one entry"),
        ([], "one entry"),
        ("text", "one entry"),
    ],
)
def test_a_reply_that_is_no_list_of_its_attributes_is_no_score(answer: Any, told: str) -> None:
    with pytest.raises(UnreadableReplyError, match=told):
        AttributesApi().read(answer)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("attributes", "http://host/v1/chat/completions"),
        ("classify", "http://host/classify"),
        ("pooling", "http://host/pooling"),
        ("score", "http://host/score"),
        ("predict", "http://host/predict"),
    ],
)
def test_routes_lie_where_the_servers_have_them(name: str, url: str) -> None:
    assert build_api(name).url("http://host/v1") == url


@pytest.mark.parametrize("name", ["classify", "pooling"])
def test_vllms_routes_get_token_ids_where_they_are_known_and_never_a_sigmoid(name: str) -> None:
    api = build_api(name)
    assert api.body("m", WITH_IDS)["input"] == [1, 5, 2]
    assert api.body("m", ASKED)["messages"] == CHAT
    assert all(api.body("m", asked)["use_activation"] is False for asked in (ASKED, WITH_IDS))


def test_pairs_are_sent_as_pairs() -> None:
    assert build_api("score").body("m", ASKED) == {
        "model": "m", "text_1": "2 + 2?", "text_2": "4", "use_activation": False,
    }  # fmt: skip
    assert build_api("predict").body("m", ASKED) == {
        "inputs": [["2 + 2?", "4"]], "raw_scores": True, "truncate": False,
    }  # fmt: skip
    lone = Asked(CHAT[1:], "", "4")
    assert build_api("predict").body("m", lone)["inputs"] == [["4"]]
    with pytest.raises(InvalidInputError, match="no prompt"):
        build_api("score").body("m", lone)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("classify", {"data": [{"index": 0, "label": "LABEL_0", "probs": [1.25], "num_classes": 1}]}),
        ("pooling", {"data": [{"index": 0, "object": "pooling", "data": [1.25]}]}),
        ("pooling", {"data": [{"index": 0, "object": "pooling", "data": [[1.25]]}]}),
        ("score", {"data": [{"index": 0, "object": "score", "score": 1.25}]}),
        ("predict", [[{"label": "LABEL_0", "score": 1.25}]]),
    ],
)
def test_the_one_number_of_an_answer_is_the_score(name: str, answer: Any) -> None:
    assert build_api(name).read(answer).score == 1.25


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("classify", {"data": [{"probs": [0.2, 0.8]}]}),
        ("classify", {"data": [{"probs": []}]}),
        ("classify", {"data": [{"probs": [None]}]}),
        ("classify", {"data": [{}]}),
        ("classify", {"data": [{"probs": [1.0]}, {"probs": [2.0]}]}),
        ("pooling", {"data": [{"data": [0.1] * 4096}]}),
        ("pooling", {"data": [{"data": "AAAA"}]}),
        ("score", {"data": [{"score": True}]}),
        ("score", {"error": "no such model"}),
        ("predict", [[{"label": "A", "score": 0.2}, {"label": "B", "score": 0.8}]]),
        ("predict", []),
        ("predict", {"error": "x"}),
        ("predict", [[{"label": "A"}]]),
    ],
)
def test_an_answer_of_another_shape_is_no_score(name: str, answer: Any) -> None:
    with pytest.raises(UnreadableReplyError):
        build_api(name).read(answer)


def test_mistakes_in_the_configuration_say_what_to_write() -> None:
    with pytest.raises(ConfigError, match="did you mean 'classify'"):
        build_api("clasify")
    with pytest.raises(ConfigError, match="name the attributes"):
        build_api("attributes", {})
    with pytest.raises(ConfigError, match="finite number"):
        build_api("attributes", {"helpfulness": float("nan")})
    for name in APIS[1:]:
        with pytest.raises(ConfigError, match="api='attributes'"):
            build_api(name, {"helpfulness": 1.0})
