"""Configuration models that refuse unknown keys and name the nearest valid one.

What arrives: parsed YAML or keyword arguments. What leaves: validated values, or one `ConfigError` that names the
source (a file, usually), the key's path, what was found and what would be valid. Nothing is silently ignored.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import pydantic
import yaml

from rayreward.errors import ConfigError, did_you_mean


class StrictModel(pydantic.BaseModel):
    """Base of every configuration value: frozen, and closed to unknown keys."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    @classmethod
    def parse(cls, data: Any, *, source: str) -> Self:
        """Validate `data`; `source` names where it came from in the error.

        Raises:
            ConfigError: one line per mistake, each with its key and its remedy.
        """
        try:
            return cls.model_validate(data)
        except pydantic.ValidationError as error:
            raise ConfigError("\n".join(describe_mistakes(cls, error, source))) from None


def describe_mistakes(model: type[pydantic.BaseModel], error: pydantic.ValidationError, source: str) -> list[str]:
    """One line a mistake: ``source: key: what was found; what is valid``."""
    lines = []
    for mistake in error.errors(include_url=False):
        path = [part for part in mistake["loc"] if not str(part).startswith("function-")]
        where = ".".join(str(part) for part in path) or "(top level)"
        if mistake["type"] == "extra_forbidden":
            known = _keys_at(model, path[:-1])
            lines.append(f"{source}: unknown key {where!r}; {did_you_mean(str(path[-1]), known)}")
        elif mistake["type"] == "missing":
            lines.append(f"{source}: key {where!r} is required and missing")
        else:
            lines.append(f"{source}: {where}: {mistake['msg']}, found {mistake['input']!r:.200}")
    return lines


def _keys_at(model: type[pydantic.BaseModel], path: list[Any]) -> list[str]:
    """The keys that the model nested at `path` accepts."""
    current: Any = model
    for part in path:
        field = current.model_fields.get(part)
        if field is None:
            continue  # an index or a name: the model of a collection's items was already found under its key
        nested = _nested_model(field.annotation)
        if nested is None:
            return []
        current = nested
    return list(current.model_fields)


def _nested_model(annotation: Any) -> type[pydantic.BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _nested_model(argument)
        if found is not None:
            return found
    return None


def read_yaml(path: str | Path) -> Any:
    """The content of a YAML file.

    Raises:
        ConfigError: the file is missing, unreadable or not YAML; the message has the file and the line.
    """
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file (looked from {Path.cwd()})") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
