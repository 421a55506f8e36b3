"""OpenRLHF's ``--train.agent_func_path`` for episodes of the environment that the job names."""

from rayreward.agents.multi_turn import MultiTurnExecutor as AgentExecutor

__all__ = ["AgentExecutor"]
