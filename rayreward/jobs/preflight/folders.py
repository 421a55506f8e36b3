"""Whether there is a place for what the training writes, and what is in it already.

What arrives: a spec. What leaves: findings. Nothing is created: a folder that does not exist yet is judged by the
nearest one above it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from rayreward.jobs.openrlhf.spec import OpenRLHFSpec
from rayreward.jobs.preflight.findings import Finding
from rayreward.jobs.preflight.model import find_model
from rayreward.jobs.spec import JobSpec

CHECK = "folders"

_STATE_FACTOR = 7
"""Bytes of a DeepSpeed checkpoint for a byte of bf16 weights: those, and three fp32 copies for the optimizer."""


def check_folders(spec: JobSpec) -> Iterator[Finding]:
    """Whether the output can be written, and overwrites nothing by mistake."""
    output = Path(spec.output_dir)
    folders = {"checkpoint.output_dir": output}
    if spec.logging.tensorboard_dir is not None:
        folders["logging.tensorboard_dir"] = Path(spec.logging.tensorboard_dir)
    for key, folder in folders.items():
        yield from _check_writable(key, folder)
    if (output / "config.json").is_file():
        is_own = Path(spec.model.path).resolve() == output.resolve()
        what = "the model that the training starts from" if is_own else "a model"
        found = f"{output} holds {what}, which the trained one will replace"
        yield Finding(CHECK, found, "set another checkpoint.output_dir to keep both", is_warning=True)


def _check_writable(key: str, folder: Path) -> Iterator[Finding]:
    existing = next(place for place in (folder, *folder.parents, Path(".")) if place.exists())
    if not existing.is_dir():
        yield Finding(CHECK, f"{existing} is a file, and {key} {folder} must be a folder", f"choose another {key}")
    elif not os.access(existing, os.W_OK | os.X_OK):
        yield Finding(CHECK, f"{key} {folder} cannot be written: no rights in {existing}", f"choose another {key}")


def check_space(spec: OpenRLHFSpec) -> Iterator[Finding]:
    """Whether the disk holds the final model and the checkpoints that are kept."""
    output, model = Path(spec.output_dir), find_model(spec.model.path)
    existing = next(place for place in (output, *output.parents, Path(".")) if place.exists())
    if model is None:
        return
    weights_bytes = sum(file.stat().st_size for file in model.glob("*.safetensors"))
    kept = spec.checkpoint.keep if spec.checkpoint.save_steps is not None else 0
    needed_bytes = weights_bytes * (1 + kept * _STATE_FACTOR)
    free_bytes = shutil.disk_usage(existing).free
    if needed_bytes > free_bytes:
        found = f"the model and {kept} checkpoints take about {needed_bytes / 1e9:.1f} GB"
        found += f", and the disk of {output} has {free_bytes / 1e9:.1f} GB left"
        yield Finding(CHECK, found, "set checkpoint.keep to fewer, or another checkpoint.output_dir", is_warning=True)


def check_resume(spec: OpenRLHFSpec) -> Iterator[Finding]:
    """Whether there is what a resumed training goes on from, and nothing that a new one would delete."""
    kept = Path(spec.output_dir) / "checkpoints"
    actor = kept / "_actor"
    if not spec.checkpoint.resume:
        if spec.checkpoint.save_steps is not None and actor.is_dir() and any(actor.iterdir()):
            found = f"{actor} holds checkpoints of another training, which will be deleted one by one"
            remedy = "set checkpoint.resume to true to go on from the last one, or another checkpoint.output_dir"
            yield Finding(CHECK, found, remedy, is_warning=True)
        return
    if not actor.exists():
        found = f"checkpoint.resume is true, and {actor} does not exist: the training starts from the beginning"
        yield Finding(CHECK, found, "correct checkpoint.output_dir if it should not", is_warning=True)
        return
    for folder in (actor, *([kept / "_critic"] if spec.critic is not None else [])):
        yield from _check_checkpoint(folder)


def _check_checkpoint(folder: Path) -> Iterator[Finding]:
    """DeepSpeed asks a file for the checkpoint's name; without it OpenRLHF ends in a KeyError."""
    remedy = "write the name of a whole checkpoint into that file, or set checkpoint.resume to false"
    try:
        name = (folder / "latest").read_text(encoding="utf-8").strip()
    except OSError:
        yield Finding(CHECK, f"checkpoint.resume is true, and {folder} has no file 'latest'", remedy)
        return
    if not (folder / name).is_dir():
        yield Finding(CHECK, f"{folder / 'latest'} names {name!r}, which is not there", remedy)
