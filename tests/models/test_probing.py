from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rayreward.errors import RewardLoadError
from rayreward.models.backend import Backend
from rayreward.models.building import LoadingBackend, build_backend
from rayreward.models.golden import Vocabulary
from rayreward.models.inputs import ModelInput, Reading
from rayreward.models.packed import PackedBackend
from rayreward.models.probing import vocabulary_of
from rayreward.models.reference import PlainBackend
from rayreward.models.settings import ModelSettings
from tests.models.tiny import make_decoder, make_encoder


def settings(path: Path, **options: Any) -> ModelSettings:
    return ModelSettings(str(path), device="cpu", **{"max_length": 64, **options})


def chosen(backend: Backend) -> Backend:
    assert isinstance(backend, LoadingBackend)
    return backend.chosen


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_sound_model_starts(tmp_path: Path, dtype: str) -> None:
    backend = build_backend(settings(make_decoder(tmp_path), dtype=dtype))
    backend.load()
    assert isinstance(chosen(backend), PackedBackend)


def test_an_encoder_starts_too(tmp_path: Path) -> None:
    build_backend(settings(make_encoder(tmp_path))).load()


def spoil(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Let the packed backend answer what `change` makes of its readings."""
    sound = PackedBackend.score

    def score(self: PackedBackend, units: Sequence[ModelInput]) -> list[Reading | Exception]:
        return [change(unit, answer) for unit, answer in zip(units, sound(self, units), strict=True)]

    monkeypatch.setattr(PackedBackend, "score", score)


def test_one_that_scores_otherwise_is_refused_and_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, lambda unit, answer: replace(answer, raw=answer.raw + 0.01 * (unit.ids[-1] == 5)))
    backend = build_backend(settings(make_decoder(tmp_path)))
    with pytest.raises(
        RewardLoadError, match=r"not served.*largest difference 0\.01 .*Worst: .*where the plain"
    ) as told:
        backend.load()
    assert "verify-model" in str(told.value)
    assert "probe=False" in str(told.value)


def test_one_that_fails_on_a_unit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, lambda unit, answer: ValueError("a kernel") if unit.ids[-2:] == (5, 5) else answer)
    with pytest.raises(RewardLoadError, match=r"units failed.*ValueError: a kernel"):
        build_backend(settings(make_decoder(tmp_path))).load()


def test_the_probe_can_be_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, lambda unit, answer: replace(answer, raw=7.0))
    backend = build_backend(settings(make_decoder(tmp_path), probe=False))
    backend.load()
    assert [answer.raw for answer in backend.score([ModelInput((4, 8))]) if isinstance(answer, Reading)] == [7.0]


def test_the_plain_backend_is_not_compared_with_itself(tmp_path: Path) -> None:
    backend = build_backend(settings(make_decoder(tmp_path), backend="plain"))
    backend.load()
    assert isinstance(chosen(backend), PlainBackend)


class Embedding:
    def __init__(self, size: int) -> None:
        import torch

        self.weight = torch.zeros(size, 2)


class Trunk:
    """As far as its vocabulary."""

    def __init__(self, size: int, **ids: Any) -> None:
        self.config = type("Config", (), ids)()
        self._size = size

    def get_input_embeddings(self) -> Embedding:
        return Embedding(self._size)


def test_the_vocabulary_is_read_from_embedding_and_configuration() -> None:
    found = vocabulary_of(Trunk(50, bos_token_id=1, eos_token_id=[2, 3], pad_token_id=2))
    assert found == Vocabulary(50, bos=1, eos=2, special=frozenset({1, 2}))
    assert vocabulary_of(Trunk(50, bos_token_id=None, eos_token_id=99)) == Vocabulary(50)
