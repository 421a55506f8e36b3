from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rayreward.errors import InvalidInputError
from rayreward.models.building import build_template
from rayreward.models.inputs import ModelInput
from rayreward.models.settings import ModelSettings
from rayreward.models.template_facts import TextFact, text_facts
from rayreward.sample import Sample
from tests.models.tiny import make_decoder

BOS, EOS, WORD = 4, 5, 9


class Written:
    """A template that writes what it is told."""

    fingerprint = "scripted"

    def __init__(self, write: Callable[[Sample], ModelInput]) -> None:
        self.encode = write


def facts(folder: Path, write: Callable[[Sample], ModelInput]) -> dict[str, TextFact]:
    settings = ModelSettings(str(make_decoder(folder)), max_length=16)
    return {fact.name: fact for fact in text_facts(Written(write), settings)}


def sound(sample: Sample) -> ModelInput:
    prompt = len(sample.prompt.split())
    cut = max(0, prompt - 10)
    return ModelInput(
        (BOS, *[WORD] * (prompt - cut), 10, len(sample.response), EOS), prompt - cut + 1, truncated_tokens=cut
    )


def test_a_sound_template_is_right_in_all(tmp_path: Path) -> None:
    found = facts(tmp_path, sound)
    assert [fact.is_right for fact in found.values()] == [True, True, True, True]


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a plain conversation", lambda sample: ModelInput((BOS, WORD, EOS), 2)),
        ("begin of text", lambda sample: ModelInput((BOS, BOS, WORD, EOS), 3)),
        ("end of text", lambda sample: ModelInput((BOS, WORD, EOS, EOS), 2)),
        ("too long a prompt", lambda sample: ModelInput((BOS, *[WORD] * 10, EOS)[: 4 + len(sample.prompt) // 50], 2)),
        ("too long a prompt", lambda sample: ModelInput((BOS, *[WORD] * min(90, len(sample.prompt)), EOS), 2)),
    ],
)
def test_what_changes_a_score_is_found(tmp_path: Path, name: str, write: Callable[[Sample], ModelInput]) -> None:
    assert facts(tmp_path, write)[name].is_right is False


def test_a_template_that_reads_other_samples_only_is_told_and_not_blamed(tmp_path: Path) -> None:
    def refuse(sample: Sample) -> ModelInput:
        raise InvalidInputError("a pair is needed")

    [fact] = facts(tmp_path, refuse).values()
    assert (fact.is_right, "a pair is needed" in fact.found) == (None, True)


def test_an_end_without_eos_is_told(tmp_path: Path) -> None:
    found = facts(tmp_path, lambda sample: ModelInput((WORD, 10), 1))
    assert found["end of text"].is_right is True
    assert "appends_eos=True" in found["end of text"].found
    assert "not first" in found["begin of text"].found


def test_a_chat_template_that_refuses_every_conversation_is_wrong(tmp_path: Path) -> None:
    template = "{{ raise_exception('only roles that nobody has') }}"
    settings = ModelSettings(str(make_decoder(tmp_path)), max_length=16, chat_template=template)
    [fact] = text_facts(build_template(settings), settings)
    assert (fact.is_right, "only roles that nobody has" in fact.found) == (False, True)
