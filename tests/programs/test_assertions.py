from __future__ import annotations

import pytest

from rayreward.errors import InvalidInputError
from rayreward.programs.assertions import Assertions, split_asserts


def module(text: str, *, entry_point: str | None = "f", helpers: str = "", setup: str = "") -> Assertions:
    return split_asserts((text,), "label", entry_point=entry_point, helpers=helpers, setup=setup, one_module=True)


def test_asserts_of_check_count_one_by_one_and_a_loop_counts_once() -> None:
    found = module(
        "METADATA = {}\n"
        "def check(candidate):\n"
        "    assert candidate(1) == 2\n"
        "    wanted = 3\n"
        "    assert candidate(2) == wanted, 'no'\n"
        "    for x in range(9):\n"
        "        assert candidate(x) == x + 1\n"
        "    assert True, 'printed if it fails'\n"
        "check(f)\n"
    )
    assert (found.count, found.names, found.aliases) == (3, ("f",), (("candidate", "f"),))
    assert [step.is_test for step in found.steps] == [False, True, False, True, True, False]


def test_an_assert_about_an_earlier_answer_counts() -> None:
    assert module("def check(c):\n    got = c(1)\n    twice = got * 2\n    assert twice == 4").count == 1


def test_a_body_that_leaves_its_function_counts_as_one() -> None:
    found = module("def check(c):\n    if c is None:\n        return\n    assert c(1) == 2\n    assert c(2) == 3")
    assert (found.count, found.steps[-1].source) == (1, "check(c)")


def test_test_functions_count_one_by_one() -> None:
    found = module("def test_a():\n    assert f(1)\ndef test_b():\n    assert f(2)\n", entry_point=None)
    assert (found.count, found.names) == (2, ("f",))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("assert set(f(1)) == set([1])", ("f",)),
        ("assert math.isclose(f(1), 2.0)", ("f",)),
        ("assert Counter(f('a')) == Counter('a')", ("f",)),
        ("assert np.allclose(f(1), [1])", ("f",)),
        ("assert all(f(x) == x for x in range(3))", ("f",)),
        ("assert sum(10, 15) == 6", ("sum",)),
        ("assert f(Node(1)) == 2", ("Node", "f")),
        ("assert Solution().f(1) == 2", ("Solution",)),
    ],
)
def test_only_what_nobody_else_defines_is_the_programs(text: str, names: tuple[str, ...]) -> None:
    assert split_asserts((text,), "label").names == names


def test_helpers_come_from_the_prompt_and_not_from_the_program() -> None:
    prompt = "import math\ndef twice(x):\n    return x * 2\ndef unused(): pass\ndef f(x):\n    '''Doc.'''\n"
    found = module("def check(c):\n    assert c(twice(1)) == 2", helpers=prompt)
    assert found.names == ("f",)
    assert "def twice" in found.steps[0].source
    assert "unused" not in found.steps[0].source
    assert module("def check(c):\n    assert c(twice(1)) == 2", helpers="Write twice.").names == ("f", "twice")


def test_nothing_to_test_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="holds no assert about the program's functions"):
        module("def check(candidate):\n    assert True\n")
    with pytest.raises(InvalidInputError, match="check must take one parameter"):
        module("def check(a, b):\n    assert a == b\n")


def test_asserts_that_are_equations_need_no_judge() -> None:
    texts = ("assert f([1], k=(2,)) == {3}, 'no'", "assert f(-1) == None")
    first, second = split_asserts(texts, "label").equations
    assert (first.function, first.args, first.kwargs, first.expected) == ("f", ([1],), {"k": (2,)}, {3})
    assert (second.args, second.expected) == ((-1,), None)
    humaneval = "METADATA = {'a': 1}\ndef check(candidate):\n    print\n    assert True\n    assert candidate(1) == 2"
    assert [one.function for one in module(humaneval).equations] == ["f"]


@pytest.mark.parametrize(
    "text",
    [
        "assert f(1) != 2", "assert 2 == f(1)", "assert f(1) == f(1)", "assert f(x) == 2", "assert f(1).y == 2",
        "assert f(*[1]) == 2", "assert f(**{'a': 1}) == 2", "assert f(1) == 1 == 2", "assert len(f(1)) == 2",
        "y = 3\nassert f(1) == 2 + y", "f(1)\nassert f(1) == 2", "assert f(1) == g",
    ],
)  # fmt: skip
def test_all_others_are_for_the_judge(text: str) -> None:
    assert split_asserts((text,), "label", entry_point="f").equations == ()
    assert split_asserts(("assert f(1) == 2", text), "label", entry_point="f").equations == ()
