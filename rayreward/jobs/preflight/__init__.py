"""What can be refused before a GPU is taken.

What arrives: a spec, the job rendered from it, and the cluster that shall run it. What leaves: warnings, or one
`ConfigError` that lists every error with its remedy. What it promises: no actor is started and nothing is written;
each check is a function of its own that yields `Finding`s.

Each error would otherwise show after minutes, on machines that are paid for: as an assertion of OpenRLHF, a KeyError in
its data loader, a placement group that waits for ever, or a run that dies of its first lost reward.

There are two places to look from. `preflight` looks from the machine that submits: at the spec, at files, at the
reward's URL, at what the dashboard tells. `check_from_cluster` looks from the nodes where samples will be generated,
and is called by the job itself before it starts the training.
"""

from rayreward.jobs.preflight.cluster_side import check_from_cluster
from rayreward.jobs.preflight.findings import Finding, refuse_errors
from rayreward.jobs.preflight.probes import PREFLIGHT_RUN
from rayreward.jobs.preflight.submitter_side import preflight

__all__ = ["PREFLIGHT_RUN", "Finding", "check_from_cluster", "preflight", "refuse_errors"]
