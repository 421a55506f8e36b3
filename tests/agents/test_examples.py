"""The environments of jobs/agents, in OpenRLHF's real loop with an engine that says what is written down."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from rayreward.agents.binding import Binding
from rayreward.loading import load_object
from tests.agents.fakes import FakeScorer, generate_responses, in_turns, params

pytestmark = [pytest.mark.openrlhf, pytest.mark.filterwarnings("ignore")]

AGENTS = Path(__file__).parents[2] / "jobs" / "agents"


async def play(
    environment: str, label: Any, *said: str, scorer: FakeScorer | None = None, **binding: Any
) -> tuple[dict[str, Any], list[str]]:
    """One episode with the environment's own rewards; its response, and what the model was told before each turn."""
    from rayreward.agents.multi_turn import MultiTurnExecutor

    bound = Binding(environment=f"{AGENTS}/{environment}", **{"rewards": "environment", **binding})
    engine = in_turns(*said)
    executor = MultiTurnExecutor(bound, scorer or FakeScorer())
    [response] = await generate_responses(
        executor, engine, "?", label, max_length=9000, sampling_params=params(max_tokens=2000)
    )
    return response, engine.contexts


class TestMathRetry:
    ENVIRONMENT = "math_retry.py::MathRetry"

    async def test_a_right_answer_ends_it(self) -> None:
        response, contexts = await play(self.ENVIRONMENT, "so 7 * 6.\n#### 42", "It is 6 * 7 = 42.0.")
        assert (response["reward"], len(contexts)) == (1.0, 1)

    async def test_a_wrong_one_may_be_corrected_for_less(self) -> None:
        response, contexts = await play(self.ENVIRONMENT, "1,000", "No idea.", "999", "-1000", "1000")
        assert response["reward"] == 0.125
        assert "There is no number" in contexts[1]
        assert contexts[2].count("That is not the right answer") == 1

    async def test_who_never_finds_it_gets_a_zero_that_is_valid(self) -> None:
        response, _ = await play(self.ENVIRONMENT, "4", "5", "5", max_turns=2)
        assert (response["reward"], response["extra_logs"]) == (0.0, {"reward_valid": 1.0, "turns": 2.0})

    async def test_a_chat_model_is_answered_by_a_user(self) -> None:
        _, contexts = await play(self.ENVIRONMENT, "4", "5", "4", args={"role": "user"})
        assert contexts[1].endswith("as a number.\n<|im_end|>\n<|im_start|>assistant\n")

    async def test_a_label_without_an_answer_is_no_zero(self) -> None:
        scorer = FakeScorer()
        response, _ = await play(self.ENVIRONMENT, "none", "4", scorer=scorer)
        assert response["extra_logs"]["reward_valid"] == 0.0
        assert "the label holds no number" in scorer.failed[0][1].message


class TestCodeRepair:
    ENVIRONMENT = "code_repair.py::CodeRepair"
    TESTS = ("assert add(2, 2) == 4", "assert add(-1, 1) == 0")

    async def test_an_error_is_shown_and_the_program_can_be_repaired(self) -> None:
        broken = "```python\ndef add(a, b):\n    return a - b\n```"
        repaired = "Sorry.\n```python\ndef add(a, b):\n    return a + b\n```\nNow it adds."
        response, contexts = await play(self.ENVIRONMENT, list(self.TESTS), broken, repaired)
        assert response["reward"] == 1.0
        assert "AssertionError" in contexts[1]
        assert "assert add(2, 2) == 4" in contexts[1]

    @pytest.mark.parametrize(
        ("program", "shown"),
        [
            ("while True: pass", "it did not end within 0.5 s"),
            ("import sys; sys.exit(0)", "it ended before its tests did"),
            ("x = 'x' * 2**40", "MemoryError"),
            ("def add(:", "SyntaxError"),
        ],
    )
    async def test_what_a_program_does_wrong_is_told_to_the_model(self, program: str, shown: str) -> None:
        args = {"timeout_s": 0.5 if "while" in program else 10.0}
        said = (f"```python\n{program}\n```", "I give up.")
        response, contexts = await play(self.ENVIRONMENT, self.TESTS[0], *said, max_turns=2, args=args)
        assert shown in contexts[1]
        assert response["reward"] == 0.0

    async def test_an_answer_without_a_program(self) -> None:
        _, contexts = await play(self.ENVIRONMENT, self.TESTS[0], "Just add them.", "…", max_turns=2)
        assert "There is no program in that" in contexts[1]

    def test_what_a_program_has_started_ends_with_it(self, tmp_path: Path) -> None:
        note = tmp_path / "pid"
        program = (
            "import subprocess, sys, time\n"
            "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
            f"open({str(note)!r}, 'w').write(str(child.pid))\n"
        )
        environment = load_object(f"{AGENTS}/{self.ENVIRONMENT}")(timeout_s=20.0)
        environment.reset("", "assert True")
        assert environment.step(f"```python\n{program}\n```").done
        assert not is_running(int(note.read_text()))

    def test_it_has_none_of_our_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_TOKEN", "secret")
        environment = load_object(f"{AGENTS}/{self.ENVIRONMENT}")()
        environment.reset("", "import os\nassert 'HF_TOKEN' not in os.environ")
        assert environment.step("```\npass\n```").done


def is_running(pid: int) -> bool:
    """Whether a process lives a moment after its kill."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
        except FileNotFoundError:
            return False
        if state == "Z":
            return False
        os.sched_yield()
        time.sleep(0.01)
    return True


class TestToolUse:
    ENVIRONMENT = "tool_use.py::ToolUse"

    async def test_a_call_is_answered_and_the_answer_judged(self) -> None:
        response, contexts = await play(
            self.ENVIRONMENT, "27", "I need <tool>3 * (4 + 5)</tool> and imagine #### 99", "So it is\n#### 27."
        )
        assert contexts[1].endswith("\n<result>27</result>\n")
        assert (response["reward"], response["extra_logs"]["turns"]) == (1.0, 2.0)

    async def test_a_wrong_answer_ends_it_with_nothing(self) -> None:
        response, _ = await play(self.ENVIRONMENT, "27", "#### 26")
        assert (response["reward"], response["extra_logs"]["reward_valid"]) == (0.0, 1.0)

    async def test_who_does_neither_is_told_how(self) -> None:
        _, contexts = await play(self.ENVIRONMENT, "27", "Hm.", "#### 27")
        assert "Call the calculator with <tool>" in contexts[1]

    @pytest.mark.parametrize(
        ("expression", "result"),
        [
            ("2 ** 10 - 1", "1023"),
            ("-7 // 2", "-4"),
            ("1 / 3", "0.333333333333"),
            ("1 / 0", "error: division by zero"),
            ("9 ** 9 ** 9", "error: the number is too large"),
            ("(-8) ** 0.5", "error: the result is no real number"),
            ("__import__('os')", "error: only numbers and + - * / // % ** ( ) are known"),
            ("True + 1", "error: only numbers and + - * / // % ** ( ) are known"),
            ("1 +", "error: invalid syntax (<unknown>, line 1)"),
            ("(" * 150 + "1" + ")" * 49, "error: '(' was never closed (<unknown>, line 1)"),
            ("1" * 201, "error: longer than 200 characters"),
            ("1e308 * 10", "error: the number is too large"),
        ],
    )
    def test_the_calculator_calculates_and_runs_nothing(self, expression: str, result: str) -> None:
        assert load_object(f"{AGENTS}/tool_use.py::calculate")(expression) == result
