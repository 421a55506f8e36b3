"""The arithmetic of samples, batches and ranks: what OpenRLHF and DeepSpeed assert, and what hangs without a word.

What arrives: a spec, and the number of its prompts where it is known. What leaves: findings.

OpenRLHF cuts a step's samples into micro batches and deals these out to the actor's ranks; DeepSpeed then sums
gradients over all ranks after each training micro batch. Ranks with unequal shares wait for each other for ever.
"""

from __future__ import annotations

from collections.abc import Iterator

from rayreward.jobs.openrlhf.spec import GROUP_ESTIMATORS, OpenRLHFSpec
from rayreward.jobs.preflight.findings import Finding
from rayreward.jobs.preflight.raw_flags import raw_flag

CHECK = "batches"


def check_batches(spec: OpenRLHFSpec) -> Iterator[Finding]:
    """Everything that shows without the prompts."""
    yield from check_groups(spec)
    ranks = count_ranks(spec)
    if ranks < 1:
        found = f"sequence and tensor parallelism need more than the {spec.resources.actor.gpus} GPUs of the actor"
        yield Finding(
            CHECK, found, "let resources.actor have a multiple of ds.ring_attn_size x ds.tensor_parallel_size"
        )
        return
    yield from _check_shares(spec, spec.rollout.samples_per_step, "a step", ranks)
    yield from _check_optimizer_batch(spec, ranks)
    yield from _check_lengths(spec)


def check_groups(spec: OpenRLHFSpec) -> Iterator[Finding]:
    """What compares the samples of a prompt needs at least two."""
    if spec.rollout.n_samples_per_prompt > 1:
        return
    remedy = "set rollout.n_samples_per_prompt to 2 or more"
    if spec.algorithm.estimator in GROUP_ESTIMATORS:
        found = f"{spec.algorithm.estimator} compares the samples of a prompt, and there is one"
        yield Finding(CHECK, found, f"{remedy}, or take another estimator")
    if spec.algorithm.dynamic_filtering:
        found = "algorithm.dynamic_filtering asks whether a prompt's samples differ, and there is one"
        yield Finding(CHECK, found, remedy)
    if spec.agent is not None and spec.agent.group:
        yield Finding(CHECK, "agent.group compares the episodes of a prompt, and there is one", remedy)


def check_supply(spec: OpenRLHFSpec, prompt_count: int) -> Iterator[Finding]:
    """Whether there are prompts enough, and what becomes of those that do not fill a step."""
    count = min(prompt_count, spec.data.max_samples or prompt_count)
    rollout, samples = spec.rollout, count * spec.rollout.n_samples_per_prompt
    if samples < spec.train_batch_size:
        found = f"{count} prompts make {samples} samples, and the first optimizer step takes {spec.train_batch_size}"
        yield Finding(CHECK, found, "nothing would be learnt: give more prompts, or set a smaller rollout.batch_size")
        return
    rest = count % rollout.batch_size
    if not rest or spec.algorithm.dynamic_filtering:  # a filter replaces prompts, so nobody knows what is left over
        return
    ranks = count_ranks(spec)
    name = f"the last step of {count} prompts, which has {rest},"
    if ranks > 0:
        yield from _check_shares(spec, rest * rollout.n_samples_per_prompt, name, ranks, whole=count - rest)


def count_ranks(spec: OpenRLHFSpec) -> int:
    """The actor's processes that get samples of their own."""
    sharing = raw_flag(spec, "ds.ring_attn_size", 1) * raw_flag(spec, "ds.tensor_parallel_size", 1)
    return spec.resources.actor.gpus // max(1, int(sharing))


def _check_shares(
    spec: OpenRLHFSpec, samples: int, what: str, ranks: int, *, whole: int | None = None
) -> Iterator[Finding]:
    """Whether `samples` can be dealt out evenly; `whole` prompts are left when an uneven rest is cut off."""
    if raw_flag(spec, "train.dynamic_batch_enable", False):
        return  # cuts by tokens, into a multiple of the ranks
    micro = spec.rollout.micro_batch_size
    fitting = _largest_divisor(samples // ranks, micro) if samples % ranks == 0 else None
    if whole is not None:
        remedy = f"set data.max_samples to {whole}, or to another multiple of rollout.batch_size"
    elif fitting is not None and fitting > 0:
        remedy = f"set rollout.micro_batch_size to {fitting}"
    else:
        remedy = f"let rollout.batch_size x n_samples_per_prompt be a multiple of {ranks}"
    # OpenRLHF's assert counts full micro batches; a rest that comes later only has to reach every rank.
    batch_count = samples // micro if whole is None else -(-samples // micro)
    if batch_count < ranks:
        found = f"the {samples} samples of {what} make {batch_count} micro batches of {micro} for {ranks} actors"
        yield Finding(CHECK, found, remedy)
    elif ranks > 1 and (samples % micro or samples // micro % ranks):
        found = f"the {samples} samples of {what} in micro batches of {micro} are no equal shares for {ranks} actors"
        yield Finding(CHECK, found, f"they would wait for each other for ever: {remedy}")


def _largest_divisor(number: int, limit: int) -> int:
    return next((size for size in range(min(limit, number), 0, -1) if number % size == 0), 0)


def _check_optimizer_batch(spec: OpenRLHFSpec, ranks: int) -> Iterator[Finding]:
    batch, micro = spec.train_batch_size, spec.train.micro_batch_size
    if batch > spec.rollout.samples_per_step:
        found = f"train.batch_size {batch} is more than the {spec.rollout.samples_per_step} samples of a step"
        yield Finding(CHECK, found, "most steps would not change the model: leave train.batch_size out")
    if raw_flag(spec, "train.dynamic_batch_enable", False):
        return
    if batch % (micro * ranks):
        found = f"train.batch_size {batch} is no multiple of train.micro_batch_size {micro} x {ranks} actors"
        remedy = f"set train.micro_batch_size to {fitting}" if (fitting := _fit_micro(batch, micro, ranks)) else None
        yield Finding(CHECK, found, remedy or f"let train.batch_size be a multiple of {ranks}")


def _fit_micro(batch: int, micro: int, ranks: int) -> int:
    return _largest_divisor(batch // ranks, micro) if batch % ranks == 0 else 0


def _check_lengths(spec: OpenRLHFSpec) -> Iterator[Finding]:
    new_tokens, max_len = spec.rollout.max_new_tokens, spec.data.max_len
    if new_tokens is not None and new_tokens >= max_len:
        found = f"rollout.max_new_tokens {new_tokens} leaves no room for a prompt in data.max_len {max_len}"
        yield Finding(CHECK, found, "raise data.max_len: it counts prompt and response together")
