import json
from pathlib import Path
from typing import Any

import pytest

from rayreward.jobs.preflight.templates import check_chat_template, check_input_template
from tests.jobs.conftest import build_spec

CHAT = {"prompts": "/p.jsonl", "apply_chat_template": True}


def spec_of(folder: Path, config: Any = None) -> Any:
    (folder / "tokenizer_config.json").write_text(json.dumps(config or {}))
    return build_spec(model={"path": str(folder)}, data=CHAT)


@pytest.mark.parametrize(
    "config",
    [{"chat_template": "{{ messages }}"}, {"chat_template": [{"name": "default", "template": "{{ messages }}"}]}],
)
def test_a_template_in_the_tokenizer_s_configuration_counts(tmp_path: Path, config: Any) -> None:
    assert list(check_chat_template(spec_of(tmp_path, config))) == []


@pytest.mark.parametrize("name", ["chat_template.jinja", "chat_template.json"])
def test_a_template_in_a_file_of_its_own_counts(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{{ messages }}")

    assert list(check_chat_template(spec_of(tmp_path))) == []


@pytest.mark.parametrize("config", [{}, {"chat_template": [{"name": "tool_use", "template": "x"}]}])
def test_a_template_for_something_else_does_not(tmp_path: Path, config: Any) -> None:
    assert len(list(check_chat_template(spec_of(tmp_path, config)))) == 1


def test_nothing_is_said_where_no_template_is_asked_for(tmp_path: Path) -> None:
    spec = spec_of(tmp_path)

    assert list(check_chat_template(spec.model_copy(update={"data": build_spec().data}))) == []


@pytest.mark.parametrize("template", ["Question: {}\nAnswer:", "{{literal}} {}"])
def test_a_template_that_takes_the_prompt_is_fine(template: str) -> None:
    assert list(check_input_template(build_spec(data={"prompts": "/p.jsonl", "input_template": template}))) == []


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("{question} {}", "cannot be filled: KeyError 'question'"),
        ("{} {}", "cannot be filled: IndexError"),
        ("{} {", "cannot be filled: ValueError"),
        ("{{}}", "has no place for the prompt"),
    ],
)
def test_a_template_that_loses_the_prompt_is_found(template: str, found: str) -> None:
    (finding,) = check_input_template(build_spec(data={"prompts": "/p.jsonl", "input_template": template}))

    assert found in finding.found
    assert not finding.is_warning


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"input_template": "Q: {}\\nA:"}, "a backslash and an n instead of a new line"),
        ({"input_template": "{}", "apply_chat_template": True}, "uses the chat template alone"),
    ],
)
def test_a_template_that_is_hardly_meant_so_is_a_warning(data: dict[str, Any], found: str) -> None:
    (finding,) = check_input_template(build_spec(data={"prompts": "/p.jsonl", **data}))

    assert found in finding.found
    assert finding.is_warning
