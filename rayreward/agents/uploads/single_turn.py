"""OpenRLHF's ``--train.agent_func_path`` for single responses that are scored through Ray."""

from rayreward.agents.single_turn import SingleTurnExecutor as AgentExecutor

__all__ = ["AgentExecutor"]
