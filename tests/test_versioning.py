from __future__ import annotations

import dataclasses
import enum
import functools
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest

from rayreward import RewardFunction, reward_function
from rayreward.loading import load_object
from rayreward.rewards import (
    CompositeReward,
    FunctionReward,
    InstructionFollowingReward,
    KeywordReward,
    LengthReward,
    LLMJudge,
)
from rayreward.spec import RewardSpec
from rayreward.versioning import code_of, content_version


def score(response: str, target: int = 1) -> float:
    return float(len(response) == target)


def bound(target: int) -> Callable[[str], float]:
    return lambda response: float(len(response) == target)


class Scorer:
    def __init__(self, target: int, key: str = "") -> None:
        self.target, self._key = target, key

    def __call__(self, response: str) -> float:
        return float(len(response) == self.target)

    def score(self, response: str) -> float:
        return self(response)


@dataclasses.dataclass
class Settings:
    target: int
    words: frozenset[str] = frozenset({"because", "therefore", "thus"})


class Level(enum.StrEnum):
    EASY = "easy"
    HARD = "hard"


class TestContentVersion:
    @pytest.mark.parametrize(
        "values",
        [
            (1, 2, 1.0, "1", True, None, 10**5000, 10**5000 + 1),
            ([1, 2], [2, 1], [[1], 2], {1, 2}, {1: 2}, {"1": 2}, {(1, 2): 3}),
            (Settings(1), Settings(2), Settings(1, frozenset({"so"}))),
            (Level.EASY, Level.HARD, "easy"),
            (Path("/a"), Path("/b"), "/a"),
            (re.compile("a" * 300 + "b"), re.compile("a" * 300 + "c"), re.compile("a" * 300 + "b", re.IGNORECASE)),
            (np.zeros(5000), np.ones(5000), np.zeros(5000).reshape(2, -1)),
            (bound(1), bound(2)),
            (functools.partial(score, target=1), functools.partial(score, target=2), score),
            (Scorer(1), Scorer(2), Scorer(1).score, Scorer(2).score),
            (b"a", b"b", "a"),
            ("".startswith, "a".startswith, len, max),
            ("\ud800", "\ud801", "?"),
        ],
    )
    def test_differs_where_the_content_differs(self, values: tuple[Any, ...]) -> None:
        versions = [content_version(value) for value in values]
        assert len(set(versions)) == len(values)
        assert versions == [content_version(value) for value in values]

    def test_does_not_depend_on_the_order_of_keys_and_sets(self) -> None:
        assert content_version({"a": 1, 2: {"x", "y"}}) == content_version({2: {"y", "x"}, "a": 1})

    def test_does_not_depend_on_what_is_private(self) -> None:
        assert content_version(Scorer(1, key="secret")) == content_version(Scorer(1, key="other"))

    def test_is_twelve_hexadecimal_digits(self) -> None:
        assert re.fullmatch(r"[0-9a-f]{12}", content_version())

    def test_bears_values_that_hold_themselves(self) -> None:
        loop: list[Any] = [1]
        loop.append(loop)
        assert content_version(loop) == content_version(loop)

    def test_objects_without_a_repr_of_their_own_do_not_show_their_address(self) -> None:
        class Bare:
            __slots__ = ("x",)

        assert content_version(Bare()) == content_version(Bare())

    def test_a_recursive_closure_has_a_version(self) -> None:
        def outer() -> Callable[[int], int]:
            def inner(n: int) -> int:
                return inner(n - 1) if n else 0

            return inner

        assert content_version(outer()) == content_version(outer())


class TestStability:
    SCRIPT = """
from rayreward import RewardFunction
from rayreward.rewards import CompositeReward, KeywordReward, LengthReward
from rayreward.versioning import content_version
def typed_here(response, words=frozenset({"a", "b", "c"})):
    return float(any(word in {"x", "y", "z"} for word in words))
exec(compile("def typed(response):\\n    return (lambda w: w in {'x', 'y', 'z'})(response)", "<nowhere>", "exec"))
rewards = [
    LengthReward(3), CompositeReward([(LengthReward(3), 0.5), (KeywordReward(["a"]), 0.5)]),
    RewardFunction(func=typed_here),
    RewardFunction(func=typed),
]
print([reward.version for reward in rewards], content_version({"red", "green", "blue", object}))
"""

    def test_every_process_comes_to_the_same_version(self) -> None:
        seen = set()
        for seed in ("1", "2"):
            environ = {**os.environ, "PYTHONHASHSEED": seed}
            found = subprocess.run(
                [sys.executable, "-c", self.SCRIPT], env=environ, capture_output=True, text=True, check=True
            )
            seen.add(found.stdout)
        assert len(seen) == 1

    def test_a_reward_keeps_its_version_where_its_code_was_unpickled(self) -> None:
        for reward in (RewardFunction(func=bound(3)), LengthReward(3), RewardFunction(func=Scorer(3))):
            assert cloudpickle.loads(cloudpickle.dumps(reward)).version == reward.version


class TestRewards:
    def test_arguments_are_content(self) -> None:
        assert RewardFunction(func=score).version != RewardFunction(func=score, target=2).version
        assert LengthReward(1).version != LengthReward(2).version
        assert KeywordReward(["a"]).version != KeywordReward(["b"]).version

    def test_weights_and_rule_of_a_composite_are_content(self) -> None:
        def composite(weight: float, **options: Any) -> str:
            return CompositeReward([(LengthReward(1), weight), (LengthReward(2), weight)], **options).version

        assert composite(1.0) != composite(0.5)
        assert composite(1.0) != composite(1.0, combine="product") != composite(1.0, combine="all_pass")
        assert composite(1.0, combine="all_pass") != composite(1.0, combine="all_pass", threshold=0.9)
        assert composite(1.0) != composite(1.0, optional=["length"])

    def test_name_deadline_isolation_and_credentials_are_not(self) -> None:
        plain = RewardFunction(func=score)
        assert RewardFunction(func=score, name="x", timeout_s=1, isolation="inline").version == plain.version
        settings = {"name": "x", "builtin": "length", "args": {"target": 3}}
        spec = RewardSpec.parse({**settings, "timeout_s": 9, "isolation": "process"}, source="test")
        assert spec.build().version == LengthReward(target=3).version
        assert LLMJudge("m", "rate", api_key="a").version == LLMJudge("m", "rate", api_key="b").version
        assert LLMJudge("m", "rate").version != LLMJudge("m", "rate well").version

    def test_everything_callable_has_one(self) -> None:
        for function in (score, bound(1), Scorer(1), Scorer(1).score, functools.partial(score, target=1)):
            assert RewardFunction(func=function).version
        assert FunctionReward(fn=str).version != FunctionReward(fn=repr).version

    def test_a_decorated_function_has_its_functions_version(self) -> None:
        assert RewardFunction(func=reward_function(score)).version == RewardFunction(func=score).version

    def test_a_changed_module_is_another_version(self, tmp_path: Path) -> None:
        def version(body: str, where: str) -> str:
            path = tmp_path / where / "my_rewards.py"
            path.parent.mkdir()
            path.write_text(
                f"def helper(text):\n    return {body}\n\ndef one(response):\n    return helper(response)\n"
            )
            return RewardFunction(func_path=f"{path}::one").version

        assert version("1.0", "a") == version("1.0", "b")
        assert version("1.0", "c") != version("2.0", "d")

    def test_code_without_any_source_is_told_apart_by_its_instructions(self) -> None:
        def typed(body: str) -> Any:
            names: dict[str, Any] = {}
            exec(compile(f"def f(response):\n    return {body}", "<nowhere>", "exec"), names)
            return names["f"]

        assert code_of(typed("1.0")) == code_of(typed("1.0"))
        assert code_of(typed("1.0")) != code_of(typed("2.0"))
        assert "0x" not in code_of(typed("(lambda x: x in {'a', 'b'})(response)"))


def test_code_of_is_the_whole_module() -> None:
    assert "def split_address" in code_of(load_object)


class TestBuiltinRewards:
    def test_what_a_built_in_reward_scores_by_is_part_of_its_code(self) -> None:
        code = code_of(InstructionFollowingReward)
        assert "class InstructionFollowingReward" in code
        assert "def split_thinking" in code

    def test_what_all_rewards_are_built_on_is_not(self) -> None:
        assert "class RewardFunction" not in code_of(InstructionFollowingReward)

    def test_to_tell_it_imports_nothing(self) -> None:
        told = "import sys; from rayreward.rewards import LLMJudge; LLMJudge('model', 'rate it').version"
        check = f"{told}; assert not {{'torch', 'vllm', 'py3langid'}} & set(sys.modules)"
        subprocess.run([sys.executable, "-c", check], check=True)
