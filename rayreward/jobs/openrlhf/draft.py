"""A spec in the making, from a command's options.

What arrives: `Options`, and values under dotted spec keys. What leaves: nested data in the order in which the spec
declares its keys, and YAML of it. What it promises: an option is either taken or still in `options.given`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, reduce
from typing import Any

import pydantic
import yaml

from rayreward.jobs.openrlhf.options import Options
from rayreward.jobs.openrlhf.spec import OpenRLHFSpec

COLUMNS = 100
"""Where YAML and the notes above it are wrapped."""


@dataclass
class Draft:
    """A spec in the making.

    Attributes:
        options: those that are not taken yet.
        keys: values by dotted spec key.
        filled: what the command leaves out and OpenRLHF decides otherwise than the spec, as texts.
        notes: what was not carried over or was changed, and why.
    """

    options: Options
    keys: dict[str, Any] = field(default_factory=dict)
    filled: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def take(self, flag: str) -> Any:
        """What the command gives for a flag, by its newest name; None where it leaves it out."""
        return self.options.given.pop(flag, None)

    def fill(self, key: str, value: Any) -> None:
        """Write down a default of OpenRLHF's that is not the spec's."""
        self.keys[key] = value
        self.filled.append(f"{key} {'null' if value is None else value}")

    def asked(self, key: str) -> Any:
        """The value of a key, or the spec's default where it has none yet."""
        return self.keys.get(key, spec_default(key))

    def data(self) -> dict[str, Any]:
        """The keys as nested mappings, in the spec's order."""
        nested: dict[str, Any] = {}
        for key, value in self.keys.items():
            # A raw flag has dots of its own.
            *sections, last = key.split(".", 1) if key.startswith("extra_args.") else key.split(".")
            reduce(lambda inner, section: inner.setdefault(section, {}), sections, nested)[last] = value
        return _ordered(nested, OpenRLHFSpec)


def spec_default(key: str) -> Any:
    """What a spec has under a dotted key that its author leaves out."""
    return reduce(getattr, key.split("."), _smallest_spec())


@cache
def _smallest_spec() -> OpenRLHFSpec:
    return OpenRLHFSpec.parse({"name": "a", "model": {"path": "a"}, "data": {"prompts": "a"}}, source="defaults")


def dump_yaml(data: Mapping[str, Any]) -> str:
    """The data as a person writes it: sections in blocks, a range or two betas on one line."""
    return yaml.dump(data, Dumper=_SpecDumper, sort_keys=False, allow_unicode=True, width=COLUMNS)


def _ordered(data: Mapping[str, Any], model: type[pydantic.BaseModel]) -> dict[str, Any]:
    """The data with its keys in the order in which the spec declares them."""
    ordered = {key: data[key] for key in model.model_fields if key in data}
    for key, value in ordered.items():
        section = next(_models_in(model.model_fields[key].annotation), None)
        if section is not None and isinstance(value, Mapping):
            ordered[key] = _ordered(value, section)
    return ordered


def _models_in(annotation: Any) -> Iterator[type[pydantic.BaseModel]]:
    for found in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(found, type) and issubclass(found, pydantic.BaseModel):
            yield found


class _SpecDumper(yaml.SafeDumper):
    """Lists on one line, as a person writes a range or two betas."""


def _represent_list(dumper: yaml.SafeDumper, items: Sequence[Any]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)


_SpecDumper.add_representer(list, _represent_list)
