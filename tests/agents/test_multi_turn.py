"""Episodes in OpenRLHF's real multi-turn loop: what is said, what is bounded, what is scored."""

from __future__ import annotations

import asyncio
import math
import re
import time
from typing import Any

import pytest

from rayreward.agents.binding import Binding
from rayreward.errors import ConfigError
from rayreward.types import Failure, FailureKind
from tests.agents.episodes import actions, executor, only_failure, text
from tests.agents.fakes import END, Engine, FakeScorer, Letters, generate_responses, in_turns, params
from tests.agents.worlds import Rude

pytestmark = [pytest.mark.openrlhf, pytest.mark.filterwarnings("ignore")]


class TestAnEpisode:
    async def test_feedback_stands_between_the_actions_and_only_actions_are_learnt_from(self) -> None:
        [response] = await generate_responses(
            executor("Guess"), in_turns("3", "4"), "2+2=", "4", sampling_params=params(8, 1)
        )
        assert text(response) == "2+2=3 no: 4"
        assert actions(response) == ["3", "4"]
        assert response["rollout_log_probs"] == [0.0] * 4 + [-0.5] + [0.0] * 5 + [-0.5]

    async def test_the_reward_is_shown_the_last_action_and_all_that_led_to_it(self) -> None:
        scorer = FakeScorer(lambda _: 0.5)
        [response] = await generate_responses(
            executor("Guess", scorer), Engine(lambda context: "4" if "no" in context else "3", ends=True), "2+2=", "4"
        )
        [[sample]] = scorer.calls
        assert (sample.prompt, sample.response, sample.label) == ("2+2=", "4", "4")
        assert sample.text == f"2+2=3{END} no: 4{END}"
        assert sample.metadata["turns"] == [
            {"action": "3", "feedback": " no: ", "reward": 0.0, "metadata": {"said": "3"}},
            {"action": "4", "feedback": "", "reward": 1.0, "metadata": {"said": "4"}},
        ]
        assert sample.metadata["turn_count"] == 2
        assert (response["reward"], response["scores"]) == (0.5, 0.5)
        assert response["extra_logs"] == {"reward_valid": 1.0, "turns": 2.0}

    async def test_sync_methods_run_in_threads_and_metadata_travels_as_plain_values(self) -> None:
        scorer = FakeScorer()
        runner = executor("Threaded", scorer, args={"suffix": "!"})
        [response] = await generate_responses(runner, in_turns("x"), "hi", "")
        assert text(response) == "hi!x"
        [[sample]] = scorer.calls
        [turn] = sample.metadata["turns"]
        assert turn["metadata"] == {"thread": "rayreward-environment", "odd": [1, 2], "surrogate": "\\ud800"}

    async def test_feedback_with_a_role_is_written_by_the_chat_template(self) -> None:
        engine = Engine(lambda _: "I say", ends=True)
        [response] = await generate_responses(executor("Chatty", max_turns=2), engine, "<|im_start|>assistant\n", "")
        feedback = f"\n<|im_start|>user\nagain{END}\n"
        first = f"<|im_start|>assistant\nI say{END}{feedback}<|im_start|>assistant\n"
        assert engine.contexts[1] == first
        assert text(response) == f"{first}I say{END}{feedback}"

    async def test_an_action_that_was_cut_off_is_ended_before_a_message(self) -> None:
        engine = Engine(lambda _: "I would go on", ends=True)
        await generate_responses(executor("Chatty", max_turn_tokens=1, max_turns=2), engine, "p", "")
        assert engine.contexts[1] == f"pI{END}\n<|im_start|>user\nagain{END}\n<|im_start|>assistant\n"

    async def test_text_that_no_tokenizer_takes_is_written_so_that_it_can(self) -> None:
        [response] = await generate_responses(executor("Garbled"), in_turns("x"), "p", "")
        assert text(response) == "px\\ud800"


class TestBounds:
    async def test_turns(self) -> None:
        [response] = await generate_responses(executor("Guess", max_turns=3), Engine(lambda _: "5"), "p", "4")
        assert actions(response) == ["5", "5", "5"]
        assert response["extra_logs"]["turns"] == 3.0

    async def test_the_tokens_of_a_turn(self) -> None:
        engine = Engine(lambda _: "x" * 99)
        [response] = await generate_responses(executor("Guess", max_turn_tokens=5, max_turns=2), engine, "p", "4")
        assert engine.limits == [5, 5]
        assert response["truncated"] is True

    async def test_without_a_limit_of_its_own_a_turn_has_the_trainer_s(self) -> None:
        engine = Engine(lambda _: "x" * 99)
        await generate_responses(executor("Guess", max_turns=2), engine, "p", "4", sampling_params=params(7))
        assert engine.limits == [7, 7]

    async def test_the_context(self) -> None:
        engine = Engine(lambda _: "x" * 99)
        runner = executor("Guess", max_turns=9)
        [response] = await generate_responses(runner, engine, "p", "4", max_length=20, sampling_params=params(8))
        assert engine.limits == [8, 6]
        assert len(response["observation_tokens"]) == 20 + len(" no: ")

    async def test_more_tokens_than_the_context_has_do_not_cut_the_prompt(self) -> None:
        engine = in_turns("4")
        await generate_responses(executor("Guess"), engine, "2+2=", "4", max_length=16, sampling_params=params(99))
        assert engine.contexts == ["2+2="]

    async def test_episodes_of_a_prompt_do_not_touch_each_other_s_budget(self) -> None:
        # OpenRLHF's loop alone writes budgets into the shared object; `generate_responses` looks at it afterwards.
        engine = Engine(lambda context: "4" if context.count("no") > 2 else "5")
        responses = await generate_responses(executor("Guess"), engine, "2+2=", "4", count=8, max_length=64)
        assert {text(response) for response in responses} == {"2+2=5 no: 5 no: 5 no: 4"}

    async def test_256_episodes_at_once_each_get_their_own_answer(self) -> None:
        scorer = FakeScorer(lambda sample: float(sample.response))
        runner = executor("Guess", scorer, max_turns=2)
        engine = Engine(lambda context: context.split()[1])
        groups = await asyncio.gather(
            *(generate_responses(runner, engine, f"say {number} ", str(number), count=8) for number in range(32))
        )
        assert [[one["reward"] for one in group] for group in groups] == [[float(at)] * 8 for at in range(32)]


class TestFailures:
    @pytest.mark.parametrize("place", ["reset", "step"])
    @pytest.mark.parametrize(
        ("act", "kind", "message"),
        [
            ("raises", FailureKind.ERROR, r"ValueError: a bug of the author \(worlds.py:"),
            ("exits", FailureKind.ERROR, "SystemExit was raised: 3"),
            ("cancels", FailureKind.CANCELLED, ""),
            ("nan", FailureKind.INVALID_OUTPUT, "reward must be finite"),
            ("lies", FailureKind.INVALID_OUTPUT, "must return .*found 42"),
        ],
    )
    async def test_what_an_environment_does_wrong_costs_its_episode_alone(
        self, place: str, act: str, kind: FailureKind, message: str
    ) -> None:
        scorer = FakeScorer()
        runner, engine = executor("Rude", scorer), Engine(lambda _: "word")
        [failed], [good] = await asyncio.gather(
            generate_responses(runner, engine, "p", f"{place} {act}"), generate_responses(runner, engine, "q", "fine")
        )
        failure = only_failure(scorer)
        assert (failure.kind, failure.component) == (kind, "environment")
        assert re.search(message, failure.message)
        assert failed["reward"] == 0.25
        assert math.isnan(failed["scores"])
        assert failed["extra_logs"] == {"reward_valid": 0.0, "turns": 0.0}
        assert (good["reward"], good["extra_logs"]) == (4.0, {"reward_valid": 1.0, "turns": 1.0})

    @pytest.mark.parametrize(("world", "label"), [("Rude", "reset hangs"), ("Rude", "step hangs"), ("Stubborn", "")])
    async def test_a_hang_ends_at_its_deadline(self, world: str, label: str) -> None:
        scorer = FakeScorer()
        started_s = time.monotonic()
        await generate_responses(executor(world, scorer, step_timeout_s=0.05), in_turns("x"), "p", label)
        assert time.monotonic() - started_s < 5.0
        assert only_failure(scorer) == Failure(FailureKind.TIMEOUT, "no answer within 0.05 s", "environment")

    async def test_an_episode_that_never_began_costs_one_token(self) -> None:
        engine = Engine(lambda _: "long answer")
        [response] = await generate_responses(executor("Rude"), engine, "p", "reset raises")
        assert actions(response) == ["l"]

    async def test_a_prompt_that_leaves_no_room_is_a_failure_and_no_zero(self) -> None:
        scorer = FakeScorer()
        runner = executor("Guess", scorer)
        [response] = await generate_responses(runner, in_turns(), "x" * 9, "", max_length=8, sampling_params=params(8))
        assert only_failure(scorer).kind is FailureKind.INVALID_INPUT
        assert (response["reward"], response["action_ranges"]) == (0.25, [])
        assert response["extra_logs"] == {"reward_valid": 0.0, "turns": 0.0}

    async def test_an_environment_is_closed_however_it_ended(self) -> None:
        Rude.closed.clear()
        runner = executor("Rude")
        for label in ("fine", "step raises", "reset raises"):
            await generate_responses(runner, in_turns("x"), "p", label)
        assert Rude.closed == ["fine", "step raises", "reset raises"]

    async def test_an_engine_s_error_is_everybody_s(self) -> None:
        def dies(_: str) -> str:
            raise RuntimeError("the engine died")

        with pytest.raises(RuntimeError, match="the engine died"):
            await generate_responses(executor("Guess"), Engine(dies), "p", "4", count=2)

    async def test_a_label_that_cannot_travel_fails_its_own_episode(self) -> None:
        nested: list[Any] = []
        nested.append(nested)
        scorer = FakeScorer()
        await generate_responses(executor("Guess", scorer), in_turns("x"), "p", nested)
        assert only_failure(scorer).kind is FailureKind.INVALID_INPUT

    async def test_a_template_without_the_role_fails_the_episode(self) -> None:
        class Plain(Letters):
            def apply_chat_template(self, *_: Any, **__: Any) -> str:
                raise ValueError("no template is set")

        scorer = FakeScorer()
        await generate_responses(executor("Chatty", scorer), in_turns("x"), "p", "", tokenizer=Plain())
        assert "cannot write a message of role 'user' (no template is set)" in only_failure(scorer).message


class TestLoading:
    @pytest.mark.parametrize(
        ("environment", "binding", "message"),
        [
            ("tests.agents.worlds:time", {}, "must name a class"),
            ("builtins:dict", {}, "must be a subclass"),
            ("rayreward.agents:Environment", {}, "with a step"),
            ("Threaded", {"args": {"sufix": "x"}}, "agent.args do not fit .*sufix"),
        ],
    )
    def test_what_cannot_be_played_is_refused_at_the_start(
        self, environment: str, binding: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ConfigError, match=message):
            executor(environment, **binding)

    def test_an_episode_needs_an_environment(self) -> None:
        from rayreward.agents.multi_turn import MultiTurnExecutor

        with pytest.raises(ConfigError, match=r"set agent\.environment"):
            MultiTurnExecutor(Binding(), FakeScorer())
