"""Environment variables in configurations: what differs between machines stays out of a file.

What arrives: a configuration's content, and an environment. What leaves: the same content with each ``${NAME}`` and
``${NAME:-default}`` replaced. A text that is one such reference and nothing else becomes what YAML reads there: a
number stays a number. ``$${`` stands for itself. Only names in capitals are looked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from rayreward.errors import ConfigError

_REFERENCE = re.compile(r"(?<!\$)\$\{([A-Z_][A-Z0-9_]*)(?::-([^{}]*))?\}")


def with_environment(content: Any, environ: Mapping[str, str], *, source: str) -> Any:
    """The content with its variables replaced; mappings' keys stay as they are.

    Raises:
        ConfigError: a variable that is not set and has no default; names it, the key and `source`.

    Example:
        >>> given = {"args": {"model_path": "${MODEL}"}, "num_gpus": "${GPUS:-1}"}
        >>> with_environment(given, {"MODEL": "my/model"}, source="rewards.yaml")
        {'args': {'model_path': 'my/model'}, 'num_gpus': 1}
    """
    return _replaced(content, environ, source, "")


def _replaced(content: Any, environ: Mapping[str, str], source: str, where: str) -> Any:
    if isinstance(content, Mapping):
        return {key: _replaced(value, environ, source, f"{where}.{key}".lstrip(".")) for key, value in content.items()}
    if isinstance(content, list):
        return [_replaced(value, environ, source, f"{where}.{position}") for position, value in enumerate(content)]
    if not isinstance(content, str) or "${" not in content:
        return content

    def value_of(found: re.Match[str]) -> str:
        name, default = found.groups()
        value = environ.get(name) or default
        if value is None:
            raise ConfigError(f"{source}: {where}: the environment variable {name} is not set, and has no default here")
        return value

    whole = _REFERENCE.fullmatch(content)
    if whole is not None:
        return _read(value_of(whole))
    return _REFERENCE.sub(value_of, content).replace("$${", "${")


def _read(text: str) -> Any:
    """What YAML reads: numbers, true and false, null; every other text as it is."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return value if isinstance(value, (int, float)) or value is None else text
