"""From a YAML file and dotted overrides to the spec of whichever trainer it names by ``kind``.

What arrives: ``jobs/ppo.yaml`` and texts such as ``rollout.n_samples_per_prompt=8``. What leaves: a frozen spec,
complete with defaults, its local paths absolute. Nothing is read but that file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rayreward.errors import ConfigError, did_you_mean
from rayreward.jobs.openrlhf.spec import OpenRLHFSpec
from rayreward.jobs.overrides import apply_overrides
from rayreward.jobs.trl.spec import TrlSpec
from rayreward.strict import read_yaml

JobSpec = OpenRLHFSpec | TrlSpec

KINDS: dict[str, type[OpenRLHFSpec] | type[TrlSpec]] = {"openrlhf": OpenRLHFSpec, "trl": TrlSpec}
"""The trainers that a spec may name."""


def load_spec(path: str | Path, overrides: Iterable[str] = (), *, base: Path | None = None) -> JobSpec:
    """Read a YAML spec, apply dotted overrides, and make its local paths absolute.

    Args:
        path: the YAML file.
        overrides: ``key.path=value`` texts; the value is read as YAML.
        base: the folder that local paths are relative to; the working directory by default, as on a command line.

    Raises:
        ConfigError: a file, key or value that cannot be, with what would be valid.
    """
    return parse_spec(apply_overrides(read_yaml(path), overrides), source=str(path)).resolved(base or Path.cwd())


def parse_spec(data: Mapping[str, Any], *, source: str) -> JobSpec:
    """The spec that parsed YAML describes.

    Raises:
        ConfigError: one line a mistake.
    """
    kind = data.get("kind", "openrlhf")
    if kind not in KINDS:
        raise ConfigError(f"{source}: kind: there is no {kind!r}; {did_you_mean(str(kind), KINDS)}")
    return KINDS[kind].parse(data, source=source)


def json_schema() -> dict[str, Any]:
    """The JSON schema of every spec, for editors: ``# yaml-language-server: $schema=…``."""
    return {"anyOf": [model.model_json_schema() for model in KINDS.values()]}
