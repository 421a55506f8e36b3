"""A reward whose model can be lost, as a GPU is. Imported in replicas: nothing heavy here."""

import os
from pathlib import Path

from rayreward import RewardFunction
from rayreward.condition import Condition
from rayreward.errors import ServiceUnavailableError


class Modelled(RewardFunction):
    """Scores by its process's id. "break FILE" loses the model once, "poison" each time, a file of the id at rest."""

    isolation = "thread"

    def __init__(self, folder):
        self.folder = folder
        self.is_lost = False

    @property
    def serving_condition(self):
        at_rest = Path(self.folder, str(os.getpid())).exists()
        return Condition(lost="CUDA error" if self.is_lost or at_rest else None)

    def compute_reward(self, trajectory):
        word, _, file = trajectory.response.partition(" ")
        if word == "poison" or (word == "break" and not Path(file).exists()):
            self.is_lost = True
        if word == "break":
            Path(file).touch()
        if self.is_lost:
            raise ServiceUnavailableError("the model was lost while it scored: CUDA error")
        return float(os.getpid())
