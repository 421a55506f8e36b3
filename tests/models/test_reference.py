from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from rayreward.errors import InvalidInputError, InvalidOutputError, RewardLoadError
from rayreward.models.heads import LAST
from rayreward.models.inputs import ModelInput
from rayreward.models.reference import PlainBackend
from tests.models.trunks import END, ids, loader, make_head, make_trunk, readings

TRUNK = make_trunk()


def plain(trunk: Any = TRUNK, **options: Any) -> PlainBackend:
    backend = PlainBackend(loader(trunk), device="cpu", **options)
    backend.load()
    return backend


def test_it_is_the_models_own_forward_and_its_head() -> None:
    unit = ModelInput((4, END, 9, END))
    with torch.inference_mode():
        rows = TRUNK(input_ids=torch.tensor([unit.ids])).last_hidden_state[:, -1]
        [wanted] = make_head().read({LAST: rows}, {LAST: [1]})
    [found] = readings(plain().score([unit]))
    assert (found.raw, found.score, found.computed_tokens) == (wanted.raw, wanted.score, 4)
    assert found.score == pytest.approx((found.raw - 0.5) / 2)


def test_token_types_reach_an_encoder() -> None:
    backend = plain(make_trunk("Bert"))
    first, second = readings(backend.score([ModelInput((5, 6, 7), segments=kind) for kind in ((0, 0, 0), (0, 1, 1))]))
    assert first.raw != second.raw


def test_units_fail_alone() -> None:
    poisoned = copy.deepcopy(TRUNK)
    poisoned.embed_tokens.weight.data[13] = float("nan")
    answers = plain(poisoned, max_length=8).score([ModelInput(one) for one in ((1, 2), (1, 13), (), (1,) * 9, (3,))])
    kinds = [InvalidOutputError, InvalidInputError, InvalidInputError]
    assert [type(answer) for answer in answers[1:4]] == kinds
    readings([answers[0], answers[4]])


def test_a_unit_that_does_not_fit_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = plain()

    def too_large(unit: ModelInput) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(backend._loaded()[0], "run", too_large)
    [answer] = backend.score([ModelInput(ids(5, seed=1))])
    assert isinstance(answer, MemoryError)
    assert "5 tokens does not fit" in str(answer)


def test_the_lengths_of_the_model_bind_and_loading_is_asked_for() -> None:
    backend = PlainBackend(loader(TRUNK), device="cpu", max_length=100_000)
    with pytest.raises(RewardLoadError, match="call load"):
        backend.score([ModelInput((1,))])
    backend.load()
    assert (backend.max_length, backend.max_step_tokens, backend.cost(ModelInput((1, 2)))) == (256, 256, 2)
    backend.close()
