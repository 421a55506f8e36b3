from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from rayreward.models.inputs import ModelInput, Reading
from tests.cli.conftest import Run
from tests.models.tiny import make_decoder

pytest.importorskip("torch")


def test_a_sound_model_exits_0_with_the_table(run: Run, folder: Path) -> None:
    make_decoder(folder)
    ended = run("verify-model", folder, "--device", "cpu", "--max-length", 64, "--tokens", 700)
    assert ended.code == 0, ended.out
    assert "PackedBackend in float32" in ended.out
    assert "alone as in a batch" in ended.out
    assert "scores as the plain forward does" in ended.out
    assert "one at a time" in ended.err


def test_one_that_scores_otherwise_exits_1_and_names_the_check(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rayreward.models.packed import PackedBackend

    make_decoder(folder)
    sound = PackedBackend.score

    def turned(self: PackedBackend, units: Sequence[ModelInput]) -> list[Reading | Exception]:
        return [replace(one, raw=-one.raw) if isinstance(one, Reading) else one for one in sound(self, units)]

    monkeypatch.setattr(PackedBackend, "score", turned)
    ended = run("verify-model", folder, "--device", "cpu", "--max-length", 64, "--tokens", 700, "--json", "--quiet")
    report = json.loads(ended.out)
    assert (ended.code, ended.err, report["ok"]) == (1, "", False)
    assert next(check for check in report["checks"] if check["name"] == "as the plain forward")["level"] == "wrong"
    assert report["worst"][0]["difference"] > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "--backend", "paced"], "backend='paced'"),
        (["nowhere", "--option", "max_lenght=3"], "did you mean 'max_length'?"),
        (["no-head", "--device", "cpu"], "no-head"),
        (["empty"], "has no config.json"),
    ],
)
def test_what_is_refused_exits_2_with_what_to_do(run: Run, folder: Path, words: list[str], message: str) -> None:
    (folder / "empty").mkdir()
    (folder / "no-head").mkdir()
    make_decoder(folder / "no-head", head=False)
    ended = run("verify-model", *words)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err
