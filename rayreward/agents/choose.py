"""Which executor plays a job's episodes.

What arrives: the binding of a job. What leaves: a class that OpenRLHF makes without arguments: ours, over the
environment that is named, or the author's own where that is what is named.
"""

from __future__ import annotations

import logging
from typing import Any

from rayreward.agents.binding import Binding
from rayreward.agents.legacy import is_whole_executor
from rayreward.agents.multi_turn import MultiTurnExecutor
from rayreward.agents.players import load_class

log = logging.getLogger(__name__)


def executor_class(binding: Binding) -> type[Any]:
    """The executor of the environment that `binding` names.

    Raises:
        RewardLoadError: it cannot be found.
    """
    if binding.environment is None:
        return MultiTurnExecutor  # which says what is missing
    found = load_class(binding.environment)
    if not is_whole_executor(found):
        return MultiTurnExecutor
    log.warning(
        "%s is an executor of OpenRLHF's: it runs as it is, scores its episodes itself, and nothing else that the "
        "job's agent section says applies to it",
        binding.environment,
    )
    return found
