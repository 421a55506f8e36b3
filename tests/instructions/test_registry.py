from __future__ import annotations

from typing import Any

import pytest

from rayreward.errors import InvalidInputError
from rayreward.instructions.registry import CHECKS, read_instructions


def test_knows_the_25_of_the_paper() -> None:
    assert len(CHECKS) == 25


def test_nulls_and_arguments_of_others_are_ignored() -> None:
    given = {"num_words": 3.0, "relation": "at least", "keywords": None, "num_sentences": 7}
    [one] = read_instructions(("length_constraints:number_words",), [given])
    assert one.arguments == {"num_words": 3, "relation": "at least"}


@pytest.mark.parametrize("kwargs", [None, [None], [{}], ({},)])
def test_an_instruction_may_need_no_argument(kwargs: Any) -> None:
    [one] = read_instructions(["punctuation:no_comma"], kwargs)
    assert one.arguments == {}


@pytest.mark.parametrize(
    ("ids", "kwargs", "message"),
    [
        ([], [], "instruction_id_list"),
        ("punctuation:no_comma", None, "instruction_id_list"),
        (["punctuation:no_coma"], None, "did you mean 'punctuation:no_comma'"),
        ([3], None, "unknown instruction 3"),
        (["punctuation:no_comma"], [], "list of 1 dicts"),
        (["punctuation:no_comma"], {}, "list of 1 dicts"),
        (["punctuation:no_comma"], ["x"], "must be a dict"),
        (["keywords:existence"], [{"keywords": None, "num_words": 3}], "needs the argument 'keywords'.*num_words"),
        (["keywords:existence"], [{"keywords": "tea"}], "keywords must be a list of texts"),
        (["keywords:existence"], [{"keywords": [""]}], "keywords must be a text"),
        (["keywords:letter_frequency"], [{"letter": "ab"}], "letter must be one letter"),
        (["length_constraints:number_paragraphs"], [{"num_paragraphs": -1}], "whole number"),
        (["length_constraints:number_paragraphs"], [{"num_paragraphs": True}], "whole number"),
        (["length_constraints:number_paragraphs"], [{"num_paragraphs": 1.5}], "whole number"),
        (["length_constraints:number_paragraphs"], [{"num_paragraphs": float("inf")}], "whole number"),
        (["length_constraints:number_words"], [{"num_words": 3, "relation": "at most"}], "'at least' or 'less than'"),
        (["language:response_language"], [{"language": "xx"}], "code of a language"),
    ],
)
def test_what_cannot_be_asked_is_named(ids: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        read_instructions(ids, kwargs)
