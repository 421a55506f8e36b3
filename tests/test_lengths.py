from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from rayreward.errors import ConfigError, InvalidInputError
from rayreward.lengths import LengthCounter
from rayreward.sample import Sample
from tests.models.tiny import make_tokenizer


def test_words_characters_and_tokens() -> None:
    sample = Sample(response=" one  two\n", token_ids=[1, 2, 3])
    lengths = {unit: LengthCounter(unit, asked_by="x").length_of(sample) for unit in ("words", "characters", "tokens")}
    assert lengths == {"words": 2, "characters": 10, "tokens": 3}


def test_a_tokenizer_counts_where_there_are_no_ids(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    make_tokenizer(tmp_path)
    counter = LengthCounter("tokens", asked_by="x", tokenizer=str(tmp_path))
    assert counter.length_of(Sample(response="one two")) == 2
    assert counter.length_of(Sample(response="\ud800")) == 1
    assert counter.length_of(Sample(response="one", token_ids=[1] * 9)) == 9
    assert pickle.loads(pickle.dumps(counter)).length_of(Sample(response="one")) == 1


def test_tokens_must_be_known() -> None:
    with pytest.raises(InvalidInputError, match="mine counts tokens: it needs the sample's token_ids or a tokenizer"):
        LengthCounter("tokens", asked_by="mine").length_of(Sample(response="one"))


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"mine\(unit='bytes'\)"):
        LengthCounter("bytes", asked_by="mine")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="mine counts words: a tokenizer means nothing there"):
        LengthCounter("words", asked_by="mine", tokenizer="x")
