"""How a row becomes the text that the model reads: the model's chat template, or the spec's own.

What arrives: a spec. What leaves: findings. A template that is missing or broken shows when the trainer reads its
first row, after the engines have started.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from rayreward.jobs.openrlhf.spec import OpenRLHFSpec
from rayreward.jobs.preflight.findings import Finding
from rayreward.jobs.preflight.model import find_model, has_tokenizer
from rayreward.jobs.spec import JobSpec

CHECK = "templates"

_MARK = "a prompt"

_TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json")


def check_chat_template(spec: JobSpec) -> Iterator[Finding]:
    """Whether the model has the chat template that is asked for; nothing is said of a model that is not here."""
    folder = find_model(spec.model.path)
    if not spec.data.apply_chat_template or folder is None or not has_tokenizer(folder) or _has_chat_template(folder):
        return
    found = f"data.apply_chat_template is true, and the tokenizer of {spec.model.path} has no chat template"
    remedy = "set it to false with a data.input_template, or save a chat_template.jinja beside the tokenizer"
    yield Finding(CHECK, found, remedy)


def _has_chat_template(folder: Path) -> bool:
    """Whether transformers finds a template of no particular name."""
    if any((folder / name).is_file() for name in _TEMPLATE_FILES):
        return True
    try:
        template = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("chat_template")
    except (OSError, ValueError, AttributeError):
        return False
    if isinstance(template, list):
        return any(entry.get("name") == "default" for entry in template)
    return bool(template)


def check_input_template(spec: OpenRLHFSpec) -> Iterator[Finding]:
    """Whether the spec's own template lets every prompt through."""
    template = spec.data.input_template
    if template is None:
        return
    key = "data.input_template"
    if spec.data.apply_chat_template:
        found = f"{key} and data.apply_chat_template are both set, and OpenRLHF uses the chat template alone"
        yield Finding(CHECK, found, "leave one of them out", is_warning=True)
    try:
        has_prompt = _MARK in template.format(_MARK)
    except (LookupError, ValueError, AttributeError) as error:
        found = f"{key} {template!r:.60} cannot be filled: {type(error).__name__} {error}"
        yield Finding(CHECK, found, "write braces that are meant as such twice: {{ and }}")
        return
    if not has_prompt:
        yield Finding(CHECK, f"{key} {template!r:.60} has no place for the prompt", "write {} where it goes")
    if "\\n" in template:
        found = f"{key} {template!r:.60} has a backslash and an n instead of a new line"
        yield Finding(CHECK, found, "write it in double quotes in YAML", is_warning=True)
