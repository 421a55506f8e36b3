"""Trainings that are launched already wired to the reward plane.

What arrives: a YAML spec. What leaves: a Ray job that runs OpenRLHF, its log as it grows, its metrics step by step.
Each name has one home, so that a job's processes import no more than they use (and neither Ray nor torch by this):

    spec             load_spec, OpenRLHFSpec         YAML and overrides into a checked value
    render           bind_reward, render             … and that into a command and its environment
    openrlhf_parser  installed_parser                … checked against the installed OpenRLHF's own flags
    preflight        preflight                       what can be refused before anything starts
    submit           RayJobs, JobState               submit, follow, status, stop, wait
    progress         parse_step, planned_steps       a log line into a step's metrics
    tiny_model       build_tiny_model, write_prompts something to train in a minute on a laptop
    platform_cpu, cpu_sources, cpu_site              what `platform: cpu` means

Example:
    >>> from rayreward.jobs.render import bind_reward, render
    >>> from rayreward.jobs.spec import load_spec
    >>> spec = load_spec("jobs/demo.yaml", ["rollout.n_samples_per_prompt=4"])
    >>> job = render(spec, reward_urls=bind_reward(spec, "http://127.0.0.1:8000"), run_id="try-1")
    >>> job.reward_urls
    ('http://127.0.0.1:8000/demo/get_reward?run=try-1',)
"""
