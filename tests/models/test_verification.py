from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rayreward.errors import RewardLoadError
from rayreward.models import verification
from rayreward.models.building import build_backend
from rayreward.models.inputs import ModelInput, Reading
from rayreward.models.settings import ModelSettings
from rayreward.models.verification import ModelReport, verify_model
from tests.models.tiny import make_decoder, make_encoder


def verify(path: Path, **options: Any) -> ModelReport:
    return verify_model(ModelSettings(str(path), device="cpu", **{"max_length": 64, **options}), budget_tokens=700)


def levels(report: ModelReport) -> dict[str, str]:
    return {check.name: check.level for check in report.checks}


def wrong(report: ModelReport) -> set[str]:
    return {name for name, level in levels(report).items() if level == "wrong"}


def found(report: ModelReport, name: str) -> str:
    return next(check.found for check in report.checks if check.name == name)


@pytest.mark.parametrize(("backend", "ran"), [("auto", "PackedBackend"), ("padded", "PaddedBackend")])
def test_a_sound_decoder_passes_every_check(tmp_path: Path, backend: str, ran: str) -> None:
    report = verify(make_decoder(tmp_path), backend=backend)
    assert set(levels(report).values()) == {"ok"}, report
    assert (report.ok, report.backend, report.units, report.plain_dtype) == (True, ran, 32, "float32")
    assert report.std > 0.05
    assert found(report, "begin of text") == "BOS is first, and 1 times in the text"
    assert "EOS is the last token" in found(report, "end of text")
    assert "end was kept" in found(report, "too long a prompt")


def test_bf16_is_compared_with_the_plain_forward_in_fp32(tmp_path: Path) -> None:
    report = verify(make_decoder(tmp_path), dtype="bfloat16")
    assert report.plain_dtype == "float32"
    assert "mean difference" in found(report, "as the plain forward")


def test_an_encoder_passes_too(tmp_path: Path) -> None:
    report = verify(make_encoder(tmp_path), max_length=32)
    assert wrong(report) == set(), report


def test_the_checkpoints_normalisation_is_told(tmp_path: Path) -> None:
    make_decoder(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"mean": 0.5, "std": 2.0}))
    assert found(verify(tmp_path), "normalisation") == "score = (raw - 0.5) / 2"


class Spoiled:
    """A backend that does one thing wrong."""

    def __init__(self, sound: Any, mistake: str) -> None:
        self._sound, self._mistake = sound, mistake

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sound, name)

    def score(self, units: Sequence[ModelInput]) -> list[Reading | Exception]:
        if self._mistake == "cuts in secret":
            units = [replace(unit, ids=unit.ids[: self._sound.max_length]) for unit in units]
        if self._mistake == "mixes siblings up" and len({unit.ids[:9] for unit in units}) < len(units):
            units = [units[0], *units[:-1]] if len(units) == 8 else units
        answers = self._sound.score(units)
        return [self._spoil(at, answer, len(units)) for at, answer in enumerate(answers)]

    def _spoil(self, at: int, answer: Any, count: int) -> Any:
        if not isinstance(answer, Reading):
            return answer
        if self._mistake == "sigmoid":
            import math

            return replace(answer, raw=1 / (1 + math.exp(-answer.raw)))
        if self._mistake == "depends on its neighbours" and count > 1:
            return replace(answer, raw=answer.raw + 0.01)
        if self._mistake == "depends on its place":
            return replace(answer, raw=answer.raw + 0.001 * at)
        if self._mistake == "normalises twice":
            return replace(answer, score=answer.raw**3)
        return answer


@pytest.mark.parametrize(
    ("mistake", "expected"),
    [
        ("sigmoid", {"as the plain forward", "normalisation"}),
        ("depends on its neighbours", {"as the plain forward", "alone as in a batch"}),
        ("depends on its place", {"as the plain forward", "in any order"}),
        ("mixes siblings up", {"siblings as without them"}),
        ("cuts in secret", {"over-long input"}),
        ("normalises twice", {"normalisation"}),
    ],
)
def test_each_mistake_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mistake: str, expected: set[str]
) -> None:
    monkeypatch.setattr(verification, "build_backend", lambda settings: Spoiled(build_backend(settings), mistake))
    report = verify(make_decoder(tmp_path))
    assert not report.ok
    assert expected <= wrong(report)
    assert len(report.worst) == 5


def test_a_checkpoint_without_a_head_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RewardLoadError):
        verify(make_decoder(tmp_path, head=False))
