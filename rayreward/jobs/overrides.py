"""Dotted overrides of a parsed YAML file, as a command line gives them.

What arrives: a mapping and texts such as ``rollout.batch_size=16``. What leaves: a new mapping with those values. It is
pure, and does not know which keys are valid: the spec that is parsed from the result does.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from rayreward.errors import ConfigError


def apply_overrides(data: Any, overrides: Iterable[str]) -> dict[str, Any]:
    """The parsed YAML `data` with each ``key.path=value`` set; `data` itself is left as it was.

    Example:
        >>> apply_overrides({"rollout": {"batch_size": 8}}, ["rollout.batch_size=16", "name=wide"])
        {'rollout': {'batch_size': 16}, 'name': 'wide'}
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"a job spec is a mapping of keys, found {type(data).__name__}; begin with 'name: …'")
    merged: dict[str, Any] = copy.deepcopy(dict(data))
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not all(key.split(".")):
            raise ConfigError(f"override {override!r} is not of the form key.path=value, as in rollout.batch_size=16")
        _set_dotted(merged, key, _read_value(override, text))
    return merged


def _read_value(override: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"override {override!r}: the value is not valid YAML; quote it") from None


def _set_dotted(target: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    # A raw flag has dots of its own: extra_args.train.enable_ema=true sets the flag train.enable_ema.
    if sections and sections[0] == "extra_args":
        sections, last = ["extra_args"], key.partition(".")[2]
    for section in sections:
        inner = target.get(section)
        if inner is None:
            inner = target[section] = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"override {key!r}: {section!r} is a single value, it has no keys below it")
        target = inner
    target[last] = value
