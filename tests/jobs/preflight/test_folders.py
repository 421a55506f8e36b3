import os
from pathlib import Path
from typing import Any

import pytest

from rayreward.jobs.preflight import folders
from rayreward.jobs.preflight.folders import check_folders, check_resume, check_space
from tests.jobs.conftest import build_spec


def spec_of(out: Path, **checkpoint: Any) -> Any:
    return build_spec(checkpoint={"output_dir": str(out), **checkpoint}, model={"path": str(out.parent / "model")})


def test_a_folder_that_can_be_made_is_fine_and_is_not_made(tmp_path: Path) -> None:
    assert list(check_folders(spec_of(tmp_path / "deep" / "out"))) == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_rights_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, _mode: path != tmp_path)  # root may write anywhere

    (finding,) = check_folders(spec_of(tmp_path / "out"))

    assert f"no rights in {tmp_path}" in finding.found


def test_the_folder_of_tensorboard_is_looked_at_too(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    spec = build_spec(
        checkpoint={"output_dir": str(tmp_path / "out")}, logging={"tensorboard_dir": str(tmp_path / "file" / "board")}
    )

    (finding,) = check_folders(spec)

    assert "logging.tensorboard_dir" in finding.found


@pytest.mark.parametrize(("name", "what"), [("out", "a model"), ("model", "the model that the training starts from")])
def test_a_model_that_would_be_replaced_is_a_warning(tmp_path: Path, name: str, what: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "config.json").touch()

    (finding,) = check_folders(spec_of(tmp_path / name))

    assert finding.is_warning
    assert f"holds {what}, which" in finding.found


def test_a_disk_that_will_be_full_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"\0" * 1000)
    monkeypatch.setattr(folders.shutil, "disk_usage", lambda _: FreeBytes(10_000))

    assert list(check_space(spec_of(tmp_path / "out"))) == []
    (finding,) = check_space(spec_of(tmp_path / "out", save_steps=5, keep=3))
    assert finding.is_warning
    assert "the model and 3 checkpoints" in finding.found


class FreeBytes:
    def __init__(self, free: int) -> None:
        self.free = free


def checkpoints(out: Path, *names: str, latest: str | None = None, role: str = "_actor") -> None:
    folder = out / "checkpoints" / role
    for name in names:
        (folder / name).mkdir(parents=True)
    if latest is not None:
        (folder / "latest").write_text(latest)


def test_a_training_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    checkpoints(tmp_path, "global_step5", latest="global_step5\n")

    assert list(check_resume(spec_of(tmp_path, resume=True))) == []


def test_a_training_that_has_no_checkpoint_yet_starts_anew_with_a_warning(tmp_path: Path) -> None:
    (finding,) = check_resume(spec_of(tmp_path, resume=True))

    assert finding.is_warning
    assert "starts from the beginning" in finding.found


def test_a_checkpoint_that_is_gone_is_found(tmp_path: Path) -> None:
    checkpoints(tmp_path, "global_step5", latest="global_step10")

    (finding,) = check_resume(spec_of(tmp_path, resume=True))

    assert "names 'global_step10', which is not there" in finding.found


def test_the_critic_resumes_too(tmp_path: Path) -> None:
    checkpoints(tmp_path, "global_step5", latest="global_step5")
    spec = spec_of(tmp_path, resume=True)

    (finding,) = check_resume(build_spec(checkpoint=spec.checkpoint.model_dump(), algorithm={"estimator": "gae"}))

    assert "_critic has no file 'latest'" in finding.found


def test_checkpoints_of_another_training_are_not_deleted_without_a_word(tmp_path: Path) -> None:
    checkpoints(tmp_path, "global_step5")

    assert list(check_resume(spec_of(tmp_path))) == [], "without checkpoints of its own it deletes none"
    (finding,) = check_resume(spec_of(tmp_path, save_steps=5))
    assert finding.is_warning
    assert "will be deleted one by one" in finding.found
