"""What can be checked: the specs of all trainers."""

from rayreward.jobs.openrlhf.spec import OpenRLHFSpec
from rayreward.jobs.trl.spec import TrlSpec

TrainingSpec = OpenRLHFSpec | TrlSpec
"""Most checks ask what both have; the others ask for one by its type."""
