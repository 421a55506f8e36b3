"""Trainings that are launched already wired to the reward plane.

What arrives: a YAML spec. What leaves: a Ray job that runs the trainer, its log as it grows, its metrics step by step,
its summary. Each name has one home, so that a job's processes import no more than they use (and none of them Ray or
torch by being imported):

    spec       load_spec, json_schema       YAML and overrides into a checked value, by kind of trainer
    sections   RewardBinding, …             what every kind of training says
    openrlhf   OpenRLHFSpec, flags, convert one trainer: its spec, its versions' command lines, its CPU platform
    trl        TrlSpec, train               another
    render     RenderedJob                  a command, its environment, the files that travel along
    preflight  preflight                    what can be refused before anything starts
    launch     make_plan, submit, run_plan  the ways to start a plan
    submit     RayJobs, JobState            Ray's jobs: submit, follow, status, stop, wait
    run        run_training                 the run's own process on the cluster
    report     RunReport                    a step's line, metrics and summary
    watch      Watch                        when a training without its reward has to end
    tracker    build_tracker                Weights & Biases
    tiny_model build_tiny_model             something to train in a minute on a laptop

Example:
    >>> from rayreward.jobs.launch import make_plan
    >>> from rayreward.jobs.spec import load_spec
    >>> spec = load_spec("jobs/demo.yaml", ["rollout.n_samples_per_prompt=4"])
    >>> make_plan(spec, service_url="http://127.0.0.1:8000", run_id="try-1").job.reward_urls
    ('http://127.0.0.1:8000/demo/get_reward?run=try-1',)
"""
