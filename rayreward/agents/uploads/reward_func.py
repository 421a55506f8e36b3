"""OpenRLHF's ``--reward.remote_url`` for single responses that are scored through Ray by its own thread pool."""

from rayreward.agents.reward_func import RewardFunc

reward_func = RewardFunc()
