"""OpenRLHF's own multi-turn executor over an `Environment`, bounded in every direction and scored by the router.

What arrives: a prompt in a rollout actor. What leaves: OpenRLHF's response of a whole episode, with a finite reward.
Tokens in, tokens out, masks and log probabilities are OpenRLHF's own loop. Beyond it: turns, their tokens and the
environment's time are limited, an environment that fails costs its episode alone, and the reward comes from where the
job says. An engine's errors pass: they concern everybody.
"""

from __future__ import annotations

from contextvars import ContextVar
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from openrlhf.utils.agent import AgentInstanceBase, MultiTurnAgentExecutor

from rayreward.agents.binding import Binding
from rayreward.agents.calling import Caller
from rayreward.agents.chat import as_message
from rayreward.agents.environment import Turn
from rayreward.agents.episode import Episode
from rayreward.agents.episode_rewards import EpisodeRewards, build_rewards
from rayreward.agents.groups import Groups, member_of
from rayreward.agents.players import build_players
from rayreward.agents.scorer import Scorer, build_scorer, trainer_fields
from rayreward.agents.turn_engine import TurnEngine
from rayreward.errors import InvalidOutputError
from rayreward.types import FailureKind

_NOTHING = torch.zeros(())
"""What OpenRLHF's loop adds up turn by turn; the episode's reward is known after it."""


@dataclass(slots=True)
class Rollout:
    """An episode with what OpenRLHF's loop plays it with."""

    episode: Episode
    engine: TurnEngine
    tokenizer: Any
    rewards: EpisodeRewards

    async def reset(self) -> dict[str, Any]:
        """The first observation."""
        observation = await self.episode.begin()
        if self.episode.failure is not None:
            # OpenRLHF's loop always generates. One token is the least: a response without any trains on nothing, and
            # makes the logged means NaN.
            self.engine.limit_tokens = 1
        return {"observation": observation}

    async def step(self, states: dict[str, Any]) -> dict[str, Any]:
        """The answer to one action, in OpenRLHF's words."""
        step = await self.episode.play(states)
        feedback = self._written(step.turn)
        is_done = step.turn.done or self.episode.failure is not None
        await self.rewards.on_turn(self.episode, states["observation_text"] + states["action_text"])
        return {**step.passed, "rewards": _NOTHING, "environment_feedback": feedback, "done": is_done}

    def _written(self, turn: Turn) -> str:
        if turn.role is None or not turn.feedback:
            return turn.feedback
        try:
            return as_message(
                self.tokenizer, turn.feedback, turn.role, action_ids=self.engine.action_ids, is_last=turn.done
            )
        except InvalidOutputError as error:
            self.episode.fail(error)
            return ""


_rollout: ContextVar[Rollout] = ContextVar("rollout")
"""OpenRLHF makes its agent instances itself, without arguments; each execution is a task with a context of its own."""


class Seat(AgentInstanceBase):  # type: ignore[misc]
    """The agent instance that OpenRLHF's loop talks to."""

    def __init__(self) -> None:
        self._rollout = _rollout.get()

    async def reset(self, states: dict[str, Any], **_: Any) -> dict[str, Any]:
        """The first observation."""
        return await self._rollout.reset()

    async def step(self, state_dict: dict[str, Any], **_: Any) -> dict[str, Any]:
        """The answer to one action."""
        return await self._rollout.step(state_dict)


class MultiTurnExecutor(MultiTurnAgentExecutor):  # type: ignore[misc]
    """Plays episodes and has them scored.

    Args:
        binding: who scores, and by which rules is played; what the job says, where left out.
        scorer: in place of the router.

    Raises:
        ConfigError: the binding names no environment that could be played.
        RewardLoadError: its code cannot be loaded.
    """

    def __init__(self, binding: Binding | None = None, scorer: Scorer | None = None) -> None:
        super().__init__(Seat)
        self._binding = binding or Binding.from_env()
        self._players = build_players(self._binding, Caller(self._binding.step_timeout_s))
        self._rewards = build_rewards(self._binding, scorer or build_scorer(self._binding))
        self._groups = Groups()

    async def execute(
        self,
        prompt: str,
        label: Any,
        sampling_params: Any,
        max_length: int,
        hf_tokenizer: Any,
        llm_engine: Any,
        images: Any = None,
    ) -> dict[str, Any]:
        """OpenRLHF's response of one episode, scored."""
        # OpenRLHF's loop writes each turn's budget into these parameters, and all samples of a prompt share one object:
        # without a copy, one episode's budget would cut the beginning off another's prompt.
        params = deepcopy(sampling_params)
        limit_tokens = self._binding.max_turn_tokens or params.max_tokens
        if limit_tokens is not None:
            # The loop keeps this much of the context free for the first answer; more than there is would cut the
            # prompt from the wrong end.
            params.max_tokens = min(limit_tokens, max_length)
        async with member_of(self._groups, prompt) as group:
            engine = TurnEngine(llm_engine, limit_tokens)
            max_turns = self._binding.max_turns
            episode = Episode(self._players(), prompt, label, max_turns=max_turns, group=group)
            try:
                _rollout.set(Rollout(episode, engine, hf_tokenizer, self._rewards))
                response = await super().execute(prompt, label, params, max_length, hf_tokenizer, engine, images)
                query = hf_tokenizer.decode(response["observation_tokens"], skip_special_tokens=False)
            except BaseException:
                self._rewards.miss(group)
                raise
            finally:
                await episode.close()
            if not response["action_ranges"] and episode.failure is None:
                message = f"the prompt leaves no room for an answer in {max_length} tokens"
                episode.fail_as(FailureKind.INVALID_INPUT, message)
            answer = await self._rewards.answer(episode, query, group)
        return {**response, **trainer_fields(answer, turns=float(len(episode.turns)))}
