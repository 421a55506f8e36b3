from __future__ import annotations

import copy
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch

from rayreward.errors import InvalidInputError, InvalidOutputError, RewardLoadError
from rayreward.models.attention import CannotPackError
from rayreward.models.inputs import ModelInput, Reading
from rayreward.models.packed import PackedBackend
from rayreward.models.reference import PlainBackend
from rayreward.outcome import OUT_OF_MEMORY, failed_output
from tests.models.trunks import END, FAMILIES, farthest, ids, loader, make_trunk, mixed_units, readings

TRUNK = make_trunk()


def packed(trunk: Any = TRUNK, **options: Any) -> PackedBackend:
    backend = PackedBackend(loader(trunk), device="cpu", **options)
    backend.load()
    return backend


def plain(trunk: Any = TRUNK) -> PlainBackend:
    backend = PlainBackend(loader(trunk), device="cpu")
    backend.load()
    return backend


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_and_shared_scores_are_those_of_the_plain_forward(family: str) -> None:
    trunk, units = make_trunk(family), mixed_units()
    wanted = plain(trunk).score(units)
    for options in ({"shares_prefixes": False}, {}, {"max_step_tokens": 60}):
        assert farthest(packed(trunk, **options).score(units), wanted) < 1e-5


def test_an_encoder_is_packed_and_shares_nothing() -> None:
    trunk, units = make_trunk("Bert"), mixed_units()
    backend = packed(trunk)
    assert backend.shares_prefixes is False
    assert farthest(backend.score(units), plain(trunk).score(units)) < 1e-5


def test_bf16_is_near_and_reads_its_head_in_fp32() -> None:
    units = mixed_units()
    wanted = readings(plain().score(units))
    found = readings(packed(dtype="bfloat16").score(units))
    std = torch.tensor([one.raw for one in wanted]).std().item()
    assert max(abs(one.raw - other.raw) for one, other in zip(found, wanted, strict=True)) < 0.2 * std
    assert any(one.raw != float(torch.tensor(one.raw).bfloat16()) for one in found)


@pytest.mark.parametrize("seed", range(5))
def test_any_grouping_in_any_order_gives_the_same_scores(seed: int) -> None:
    draw = random.Random(seed)
    backend, reference = packed(max_step_tokens=draw.choice([30, 80, 1000])), plain()
    prompts = [ids(count, seed=seed * 10 + count) for count in (16, 18, 30)]
    for _ in range(20):
        units = []
        for _ in range(draw.randint(1, 8)):
            prompt, prefix_known = draw.choice(prompts), draw.random() < 0.8
            answer = tuple(draw.choices((END, 5, 9), k=draw.randint(0, 6)))
            units.append(ModelInput(prompt + answer, len(prompt) if prefix_known else 0))
        found = backend.score(units)
        assert farthest(found, reference.score(units)) < 1e-5
        assert sum(one.computed_tokens for one in readings(found)) <= sum(len(unit.ids) for unit in units)


def test_shared_prompts_are_computed_once() -> None:
    prompt = ids(40, seed=1)
    units = [ModelInput((*prompt, answer), 40) for answer in range(8)]
    assert sum(one.computed_tokens for one in readings(packed().score(units))) == 48
    assert sum(one.computed_tokens for one in readings(packed(shares_prefixes=False).score(units))) == 8 * 41


def test_what_a_unit_adds_to_a_step_is_what_it_does_not_share() -> None:
    backend = packed()
    assert backend.cost(ModelInput((1,) * 50, 30)) == 20
    assert backend.cost(ModelInput((1,) * 50, 3)) == 50
    assert packed(shares_prefixes=False).cost(ModelInput((1,) * 50, 30)) == 50


class GateHead:
    """Reads a mark of the prompt and several of the answer, beside the last token."""

    marks = ("gate", "step")

    def to(self, device: Any) -> GateHead:
        return self

    def read(self, rows: Mapping[str, Any], counts: Mapping[str, Sequence[int]]) -> list[Reading]:
        steps = rows["step"].sum(-1).split(list(counts["step"]))
        pairs = zip(rows["last"].sum(-1).tolist(), rows["gate"].sum(-1).tolist(), steps, strict=True)
        return [Reading(last, last, {"gate": gate}, tuple(own.tolist())) for last, gate, own in pairs]


def test_marks_are_read_where_they_lie_in_the_prompt_or_behind_it() -> None:
    prompt = ids(20, seed=1)
    units = [
        ModelInput(prompt + ids(9, seed=2), 20, marks={"gate": (19,), "step": (3, 22, 28)}),
        ModelInput(ids(5, seed=3), marks={"gate": (0,), "step": (4,)}),
        ModelInput(prompt + ids(4, seed=4), 20, marks={"gate": (18,), "step": (20, 21)}),
    ]
    backends = [
        kind(lambda: (copy.deepcopy(TRUNK), GateHead()), device="cpu") for kind in (PackedBackend, PlainBackend)
    ]
    answers = []
    for backend in backends:
        backend.load()
        answers.append(readings(backend.score(units)))
    for found, wanted in zip(*answers, strict=True):
        assert found.raw == pytest.approx(wanted.raw, abs=1e-4)
        assert found.heads["gate"] == pytest.approx(wanted.heads["gate"], abs=1e-4)
        assert found.steps == pytest.approx(wanted.steps, abs=1e-4)
    [refused] = backends[0].score([ModelInput((1, 2), marks={"gate": (0,)})])
    assert isinstance(refused, InvalidInputError)


def test_units_fail_alone_and_answers_keep_their_order() -> None:
    backend = packed(max_length=64)
    assert backend._trunk is not None
    backend._trunk._trunk.embed_tokens.weight.data[13] = float("nan")
    prompt = tuple(one for one in ids(30, seed=1) if one != 13)
    good = [ModelInput((*prompt, 5), len(prompt)), ModelInput((*prompt, 6), len(prompt)), ModelInput((7,))]
    units = [
        good[0],
        ModelInput((*prompt, 13), len(prompt)),
        ModelInput(()),
        good[1],
        ModelInput((13, 1, 2)),
        ModelInput((1,) * 65),
        ModelInput((64,)),
        good[2],
    ]
    answers = backend.score(units)
    assert [type(one).__name__ for one in answers] == [
        "Reading", "InvalidOutputError", "InvalidInputError", "Reading", "InvalidOutputError", "InvalidInputError",
        "InvalidInputError", "Reading",
    ]  # fmt: skip
    assert farthest([answers[0], answers[3], answers[7]], plain().score(good)) < 1e-5


def limit_tokens(backend: PackedBackend, most: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A device on which more than `most` tokens do not fit; answers the sizes of the steps that were tried."""
    assert backend._trunk is not None
    trunk, tried = backend._trunk._trunk, list[int]()
    forward: Callable[..., Any] = trunk.forward

    def limited(**given: Any) -> Any:
        tried.append(given["input_ids"].shape[1])
        if tried[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return forward(**given)

    monkeypatch.setattr(trunk, "forward", limited)
    return tried


def test_too_large_a_step_halves_the_budget_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    backend, units = packed(max_step_tokens=400), [ModelInput(ids(50, seed=seed)) for seed in range(16)]
    tried = limit_tokens(backend, 200, monkeypatch)
    with caplog.at_level(logging.WARNING):
        answers = backend.score(units)
    assert farthest(answers, plain().score(units)) < 1e-5
    assert tried == [400, 200, 200, 200, 200]
    assert backend.max_step_tokens == 200
    [record] = caplog.records
    assert "a step of 400 tokens ran out of memory: steps carry at most 200 tokens" in record.getMessage()
    readings(backend.score(units))
    assert tried[5:] == [200] * 4, "what was learned is remembered"


def test_siblings_are_parted_where_they_do_not_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = ids(40, seed=1)
    backend, units = packed(), [ModelInput(prompt + ids(30, seed=seed), 40) for seed in range(6)]
    tried = limit_tokens(backend, 100, monkeypatch)
    assert farthest(backend.score(units), plain().score(units)) < 1e-5
    assert tried[0] == 220
    assert max(tried[2:]) <= 100


def test_a_unit_that_does_not_fit_fails_alone_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = packed()
    limit_tokens(backend, 60, monkeypatch)
    units = [ModelInput(ids(count, seed=count)) for count in (20, 90, 30)]
    first, lost, last = backend.score(units)
    readings([first, last])
    output = failed_output(lost if isinstance(lost, Exception) else AssertionError())
    assert output.failure is not None
    assert output.failure.message.startswith(f"{OUT_OF_MEMORY}: a unit of 90 tokens does not fit")


def break_on(backend: PackedBackend, token: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that hold the token raise; all rows do where it is None."""
    assert backend._trunk is not None
    trunk = backend._trunk._trunk
    forward: Callable[..., Any] = trunk.forward

    def breaking(**given: Any) -> Any:
        if token is None or token in given["input_ids"]:
            raise RuntimeError("the model's own code broke")
        return forward(**given)

    monkeypatch.setattr(trunk, "forward", breaking)


def test_a_unit_that_breaks_the_model_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = packed()
    break_on(backend, 60, monkeypatch)
    good, bad, other = backend.score([ModelInput((1, 2)), ModelInput((60, 2)), ModelInput((3,))])
    readings([good, other])
    assert str(bad) == "the model's own code broke"
    [alone] = backend.score([ModelInput((60,))])
    assert isinstance(alone, RuntimeError)


def test_a_model_that_cannot_even_read_one_token_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = packed()
    break_on(backend, None, monkeypatch)
    with pytest.raises(RuntimeError, match="own code broke"):
        backend.score([ModelInput((1, 2)), ModelInput((3,))])


def test_a_lost_device_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, asked = packed(), list[int]()
    assert backend._trunk is not None

    def lost(**given: Any) -> Any:
        asked.append(1)
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(backend._trunk._trunk, "forward", lost)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        backend.score([ModelInput((1, 2)), ModelInput((3,))])
    assert asked == [1]


def test_nothing_to_score_is_answered_by_nothing_and_loading_is_asked_for() -> None:
    assert packed().score([]) == []
    with pytest.raises(RewardLoadError, match="call load"):
        PackedBackend(loader(TRUNK)).score([ModelInput((1,))])


def test_a_model_that_cannot_be_packed_is_refused_when_it_is_loaded() -> None:
    with pytest.raises(CannotPackError, match="see only 32 tokens"):
        packed(make_trunk("Mistral", sliding_window=32))
    assert packed(make_trunk("Mistral", sliding_window=32), max_length=32).max_length == 32


def test_lengths_are_those_of_the_model_and_closing_lets_go() -> None:
    backend = packed(max_length=100_000)
    assert backend.max_length == 256
    assert isinstance(backend.score([ModelInput((13,) * 257)])[0], InvalidInputError)
    assert not isinstance(backend.score([ModelInput((13,) * 256)])[0], InvalidOutputError)
    backend.close()
    with pytest.raises(RewardLoadError, match="call load"):
        backend.score([ModelInput((1,))])
