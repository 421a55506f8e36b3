from __future__ import annotations

from pathlib import Path

import pytest

from rayreward.errors import RewardLoadError
from rayreward.models.building import build_backend
from rayreward.models.settings import ModelSettings
from rayreward.models.vllm_backend import VllmBackend
from tests.models.tiny import make_decoder, make_encoder


def test_a_decoder_with_one_output_gets_vllms_engine_with_its_own_limits(tmp_path: Path) -> None:
    backend = build_backend(ModelSettings(str(make_decoder(tmp_path)), backend="vllm", max_length=10**6))
    assert isinstance(backend, VllmBackend)
    assert backend.max_length == 2048  # positions of the model
    assert backend.steps_overlap


def test_any_other_is_refused_with_what_runs_it(tmp_path: Path) -> None:
    with pytest.raises(RewardLoadError, match="backend='auto'"):
        build_backend(ModelSettings(str(make_encoder(tmp_path)), backend="vllm"))
