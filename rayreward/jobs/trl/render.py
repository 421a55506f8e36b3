"""From a TRL spec to the job that runs it.

What arrives: a spec with absolute paths. What leaves: a `RenderedJob`: `train` on the spec, which travels along as a
file; under torch's launcher where it has several GPUs.
"""

from __future__ import annotations

from rayreward.jobs.render import RenderedJob, bind_urls, build_job
from rayreward.jobs.trl.spec import TrlSpec

TRAIN_MODULE = "rayreward.jobs.trl.train"
LAUNCH_MODULE = "torch.distributed.run"
SPEC_FILE = "trl.json"


def render_trl(spec: TrlSpec, *, run_id: str, service_url: str | None = None) -> RenderedJob:
    """What `spec` is as a command, an environment and a file.

    Args:
        spec: the training.
        run_id: letters, digits, dots, dashes; sent with every request for a reward.
        service_url: the router's root, for `transport: http` without a URL of its own.

    Raises:
        ConfigError: no address for its reward, or a secret in its environment.
    """
    urls = bind_urls(spec.name, spec.reward, service_url, run_id) if spec.transport == "http" else ()
    flags = [SPEC_FILE, "--run-id", run_id, *(["--reward-url", urls[0]] if urls else [])]
    module = TRAIN_MODULE
    if spec.process_count > 1:
        launch = ["--standalone", "--nproc-per-node", str(spec.process_count), "-m", TRAIN_MODULE]
        module, flags = LAUNCH_MODULE, [*launch, *flags]
    return build_job(
        spec.name,
        module,
        flags,
        env_vars=dict(spec.env_vars),
        run_id=run_id,
        kind="trl",
        uploads={SPEC_FILE: spec.model_dump_json()},
        reward_urls=urls,
        service_url=None if spec.reward.urls else service_url,
        gpus=float(spec.gpus),
    )
