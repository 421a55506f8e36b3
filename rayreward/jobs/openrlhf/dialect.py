"""One training's options in the words of each OpenRLHF version.

What arrives: options with the newest version's names, each with the spec key that asks for it; raw flags with any
version's names. What leaves: the same with the names that one version has. What it promises: nothing is dropped in
silence. An option that the version lacks is refused by its key, with what to do, unless its value is what that version
does anyway.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rayreward.errors import ConfigError
from rayreward.jobs.openrlhf.versions import SUPPORTED_VERSIONS, at_least, known_flags, names_in

FlagValue = bool | int | float | str | Sequence[int | float | str] | None

BEHAVIOUR_WITHOUT: dict[str, FlagValue] = {
    "--actor.min_lr_ratio": 0.1,  # up to 0.10.1: min_lr = learning_rate * 0.1
    "--critic.min_lr_ratio": 0.1,
    "--train.async_queue_size": 1,  # 0.8.11 and 0.9.0: Queue(maxsize=1)
}
"""What a version does that lacks the option; any switch that it lacks is off."""

ONE_LENGTH_SINCE = "0.9.8"
"""Before, prompt and response had a limit each instead of ``max_len`` for both together."""

DTYPE_SINCE = "0.9.2"
"""Before, there was a switch ``--bf16``; off, it was whatever the weights were saved in."""

TWO_BOUNDS_SINCE = "0.9.1"
"""Before, the correction for vLLM's numerics knew an upper bound only."""

ALL_SCHEDULERS_SINCE = "0.10.4"
"""Before, a minimum was handed to every scheduler, and most died of an unexpected keyword."""

SCHEDULERS_BEFORE = ("cosine_with_min_lr", "cosine_warmup_with_min_lr", "constant", "constant_with_warmup")

OWNER_OF_SECRET_FLAG = dict.fromkeys(
    ("--logger.wandb.key", "--use_wandb"), "logging.wandb_project, with WANDB_API_KEY set on the nodes"
)


@dataclass(frozen=True)
class Planned:
    """One option: the spec key that asks for it, its name, its value. None and False leave the flag out."""

    key: str
    flag: str
    value: FlagValue


def tell(planned: Iterable[Planned], *, name: str, version: str) -> dict[str, Planned]:
    """The options by the names that they have in a supported version.

    Args:
        planned: options with the newest version's names.
        name: the spec's, for the messages.
        version: see `versions.supported_version`.

    Raises:
        ConfigError: a key that the version cannot follow.
    """
    fitted = _fit({plan.flag: plan for plan in planned}, name, version)
    return {told.flag: told for plan in fitted.values() for told in _tell_one(plan, name, version)}


def tell_extra_args(
    extra_args: Mapping[str, Any], planned: Mapping[str, Planned], *, name: str, version: str
) -> dict[str, FlagValue]:
    """Raw flags by the names that they have in a supported version; one that no version has stays as it is.

    Raises:
        ConfigError: a flag that a key of the spec sets already, that shows a secret, that stands there twice, or that
            another version has and this one lacks.
    """
    told: dict[str, FlagValue] = {}
    for written, value in extra_args.items():
        flag = f"--{written.removeprefix('--')}"
        where = f"{name}: extra_args: {flag}"
        if flag in OWNER_OF_SECRET_FLAG:
            raise ConfigError(f"{where} shows a secret; use {OWNER_OF_SECRET_FLAG[flag]}")
        names = names_in(version, flag)
        having = _versions_that_have(flag)
        if not names and having and value is not False:
            raise ConfigError(
                f"{where}: OpenRLHF {version} lacks it, {_span(having)} has it; remove it, or run that one"
            )
        for found in names or (flag,):
            if found in planned:
                raise ConfigError(f"{where} is already set by {planned[found].key}; change it there")
            if told.get(found, value) != value:
                raise ConfigError(f"{where} and another name of {found} have two values; keep one of them")
            told[found] = value
    return told


def _fit(planned: dict[str, Planned], name: str, version: str) -> dict[str, Planned]:
    """What older versions say in another way, not only by another name."""
    if not at_least(version, ALL_SCHEDULERS_SINCE):
        _refuse_schedulers(planned, name, version)
    if not at_least(version, ONE_LENGTH_SINCE):
        planned = _split_lengths(planned, name, version)
    if not at_least(version, DTYPE_SINCE):
        planned = _switch_dtype(planned, name, version)
    threshold = planned.get("--algo.advantage.is_correction_threshold")
    if threshold is not None and not at_least(version, TWO_BOUNDS_SINCE) and isinstance(threshold.value, tuple):
        planned = planned | {threshold.flag: replace(threshold, value=threshold.value[1])}
    return planned


def _refuse_schedulers(planned: Mapping[str, Planned], name: str, version: str) -> None:
    scheduler = planned.get("--actor.lr_scheduler")
    if scheduler is not None and scheduler.value not in SCHEDULERS_BEFORE:
        raise ConfigError(
            f"{name}: {scheduler.key} {scheduler.value}: OpenRLHF {version} fails with it; take one of "
            f"{', '.join(SCHEDULERS_BEFORE)}, or run {ALL_SCHEDULERS_SINCE} or later"
        )


def _split_lengths(planned: dict[str, Planned], name: str, version: str) -> dict[str, Planned]:
    both, response = planned.get("--data.max_len"), planned.get("--rollout.max_new_tokens")
    if both is None or response is None:
        return planned
    if not isinstance(both.value, int) or not isinstance(response.value, int) or response.value >= both.value:
        raise ConfigError(
            f"{name}: {response.key} {response.value}: OpenRLHF {version} limits prompt and response apart; set it to "
            f"a number below {both.key}, which is {both.value}, or run {ONE_LENGTH_SINCE} or later"
        )
    room = Planned(both.key, "--prompt_max_len", both.value - response.value)
    rest = {flag: plan for flag, plan in planned.items() if plan is not response}
    return rest | {room.flag: room, "--generate_max_len": replace(response, flag="--generate_max_len")}


def _switch_dtype(planned: dict[str, Planned], name: str, version: str) -> dict[str, Planned]:
    dtype = planned.get("--ds.param_dtype")
    if dtype is None:
        return planned
    if dtype.value != "bf16":
        raise ConfigError(
            f"{name}: {dtype.key} {dtype.value}: OpenRLHF {version} knows bf16 only; set that, or run {DTYPE_SINCE} "
            "or later"
        )
    rest = {flag: plan for flag, plan in planned.items() if plan is not dtype}
    return rest | {"--bf16": Planned(dtype.key, "--bf16", True)}


def _tell_one(plan: Planned, name: str, version: str) -> Iterator[Planned]:
    names = names_in(version, plan.flag)
    is_asked = plan.value is not None and plan.value is not False
    if is_asked and not names and BEHAVIOUR_WITHOUT.get(plan.flag) != plan.value:
        raise ConfigError(_describe_lack(plan, name, version))
    if is_asked and not _allows(version, plan):
        raise ConfigError(_describe_choice(plan, name, version))
    yield from (replace(plan, flag=flag) for flag in names)


def _describe_lack(plan: Planned, name: str, version: str) -> str:
    same = BEHAVIOUR_WITHOUT.get(plan.flag)
    remedy = "leave it out" if same is None else f"leave it at {same}, which is what that version does"
    having = _span(_versions_that_have(plan.flag))
    return f"{name}: {plan.key} {plan.value}: OpenRLHF {version} has no such option; {remedy}, or run {having}"


def _describe_choice(plan: Planned, name: str, version: str) -> str:
    choices = next(filter(None, (known_flags(version)[flag].choices for flag in names_in(version, plan.flag))))
    having = [other for other in _versions_that_have(plan.flag) if _allows(other, plan)]
    remedy = f"take one of {', '.join(choices)}" + (f", or run {_span(having)}" if having else "")
    return f"{name}: {plan.key} {plan.value}: OpenRLHF {version} does not know it; {remedy}"


def _allows(version: str, plan: Planned) -> bool:
    choices = [known_flags(version)[flag].choices for flag in names_in(version, plan.flag)]
    return all(found is None or plan.value in found for found in choices)


def _versions_that_have(flag: str) -> list[str]:
    return [version for version in SUPPORTED_VERSIONS if names_in(version, flag)]


def _span(versions: Sequence[str]) -> str:
    """Versions in a row, as a user reads them: ``0.9.1`` or ``0.9.1 … 0.11.2``."""
    if not versions:
        return "another version"
    return versions[0] if len(versions) == 1 else f"{versions[0]} … {versions[-1]}"
