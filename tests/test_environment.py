from __future__ import annotations

from typing import Any

import pytest

from rayreward.environment import with_environment
from rayreward.errors import ConfigError

ENVIRON = {"MODEL": "my/model", "GPUS": "0.5", "EMPTY": "", "ODD": "a: [b", "ON": "true", "LIST": "[1, 2]"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("${MODEL}", "my/model"),
        ("${GPUS}", 0.5),
        ("${ON}", True),
        ("${LIST}", "[1, 2]"),
        ("${ODD}", "a: [b"),
        ("${NONE:-7}", 7),
        ("${EMPTY:-7}", 7),
        ("${NONE:-}", None),
        ("${NONE:-null}", None),
        ("file:${MODEL}/${NONE:-head}", "file:my/model/head"),
        ("$${MODEL}", "${MODEL}"),
        ("price: $5 {MODEL} ${lower}", "price: $5 {MODEL} ${lower}"),
        ({"a": ["${GPUS}", {"b": "x${GPUS}"}], "${GPUS}": 1}, {"a": [0.5, {"b": "x0.5"}], "${GPUS}": 1}),
        (3, 3),
    ],
)
def test_variables_are_replaced_and_all_else_stays(content: Any, expected: Any) -> None:
    assert with_environment(content, ENVIRON, source="t") == expected


def test_one_that_is_not_set_is_named_with_its_place() -> None:
    given = {"rewards": [{"args": {"model_path": "${NO_SUCH_MODEL}"}}]}
    with pytest.raises(ConfigError, match=r"t.yaml: rewards.0.args.model_path: the environment variable NO_SUCH_MODEL"):
        with_environment(given, ENVIRON, source="t.yaml")
