"""OpenRLHF's ``--train.agent_func_path`` for episodes of the environment that the job names."""

from rayreward.agents.binding import Binding
from rayreward.agents.choose import executor_class

AgentExecutor = executor_class(Binding.from_env())
