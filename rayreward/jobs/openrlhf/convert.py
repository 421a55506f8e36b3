"""From a pasted OpenRLHF command to a spec that means the same.

What arrives: shell text with a ``train_ppo_ray`` command, flat or dotted (`pasted`, `options`). What leaves: a
`ConvertedCommand`: the data of an `OpenRLHFSpec`, and notes on everything that could not be carried over or was
changed. What it promises: an option that the command leaves out is written down where OpenRLHF's default is not the
spec's; no secret is kept; nothing that had an effect is dropped without a note.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from rayreward.jobs.openrlhf.draft import COLUMNS, Draft, dump_yaml, spec_default
from rayreward.jobs.openrlhf.flags import CRITIC_FLAG_OF_KEY, FLAG_OF_KEY, NAME_OF_KEY, PINNED_FLAGS
from rayreward.jobs.openrlhf.options import MAX_TURNS, read_options
from rayreward.jobs.openrlhf.pasted import PastedCommand, read_command
from rayreward.jobs.render import check_env_vars

REQUIRED = {"model.path": "--pretrain", "data.prompts": "--prompt_data"}

_UNKNOWN_VALUE = re.compile(r"\$|^\{[^}]*\}$|^<[^>]*>$")
"""A variable that the text does not assign, or a gap that it leaves."""

_MEANS_NONE: dict[str, Any] = {"checkpoint.save_steps": -1, "data.max_samples": 100_000_000}
"""OpenRLHF's way to say what None says in the spec."""

_NOT_FILLED = frozenset({*REQUIRED, "checkpoint.output_dir", "model.attn_implementation"})
"""Keys that say the same where they are left out, or that the user has to name."""

_ONE_GPU = {"nodes": 1, "gpus_per_node": 1}

_ROLE_DEFAULT = {"nodes": 1, "gpus_per_node": 8}
"""In all versions and for all roles."""


@dataclass(frozen=True)
class ConvertedCommand:
    """A command as a spec.

    Attributes:
        data: what `OpenRLHFSpec.parse` accepts, once the keys that a note calls missing are filled in.
        notes: what could not be carried over or was changed, and why.
    """

    data: dict[str, Any]
    notes: tuple[str, ...]

    def yaml(self) -> str:
        """The spec as a file, with the notes on top as comments."""
        fill = textwrap.TextWrapper(COLUMNS, initial_indent="# - ", subsequent_indent="#   ", break_long_words=False)
        head = ["# Converted from a command of OpenRLHF's train_ppo_ray.", *(fill.fill(note) for note in self.notes)]
        return "\n".join(head) + "\n" + dump_yaml(self.data)


def convert_command(text: str) -> ConvertedCommand:
    """The spec of the first training that a shell text starts.

    Raises:
        ConfigError: the text holds no ``train_ppo_ray`` command, or is no shell text.

    Example:
        >>> converted = convert_command("python -m openrlhf.cli.train_ppo_ray --pretrain a/b --prompt_data c/d")
        >>> converted.data["model"], converted.data["algorithm"]
        ({'path': 'a/b'}, {'estimator': 'gae', 'kl_coef': 0.01})
    """
    pasted = read_command(text)
    draft = Draft(read_options(pasted.after))
    _take_surroundings(draft, pasted)
    _take_agent(draft)
    _take_reward(draft)
    _take_logging(draft)
    _take_checkpoints(draft)
    _take_keys(draft)
    _take_roles(draft)
    _take_the_rest(draft)
    _note_gaps(draft)
    return ConvertedCommand(draft.data(), tuple(dict.fromkeys((*draft.options.notes, *draft.notes))))


def _take_surroundings(draft: Draft, pasted: PastedCommand) -> None:
    if pasted.other_count:
        draft.notes.append(f"the text starts {pasted.other_count} more training(s); paste each alone")
    words = list(pasted.before)
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == "--runtime-env-json":
            _take_runtime_env(draft, value if equals else " ".join(words[place + 1 : place + 2]))
        elif name == "--address":
            draft.notes.append("ray job submit --address: give it to `rayreward jobs submit --address`")
        elif name.startswith("--") and name != "--":
            draft.notes.append(f"{name} of ray job submit: no part of a spec; left out")
        elif equals and name.isidentifier():
            _take_env_vars(draft, {name: value})


def _take_runtime_env(draft: Draft, text: str) -> None:
    try:
        runtime_env = dict(json.loads(text))
    except (ValueError, TypeError):
        draft.notes.append("--runtime-env-json cannot be read as JSON; put its environment variables under env_vars")
        return
    _take_env_vars(draft, runtime_env.pop("env_vars", None) or {})
    for name in runtime_env:
        reason = "local paths of a spec are made absolute" if name == "working_dir" else "install it on the nodes"
        draft.notes.append(f"{name} of --runtime-env-json: no part of a spec; {reason}")


def _take_env_vars(draft: Draft, env_vars: Mapping[str, Any]) -> None:
    for name, value in env_vars.items():
        if mistakes := check_env_vars([name]):
            draft.notes += mistakes
        else:
            draft.keys.setdefault("env_vars", {})[name] = str(value)


def _take_agent(draft: Draft) -> None:
    path, turns = draft.take("--train.agent_func_path"), draft.take(MAX_TURNS)
    if path is None:
        if turns is not None:
            draft.notes.append(f"{MAX_TURNS} {turns}: turns of an agent, and there is none; left out")
        return
    draft.keys["agent.environment"] = f"{path}::AgentExecutor"
    draft.keys["agent.rewards"] = "environment"
    draft.notes.append(
        f"--agent_func_path {path}: its AgentExecutor scores its own episodes (agent.rewards: environment). An "
        "Environment of rayreward.agents can leave that to the router"
    )
    if turns is not None:
        draft.keys["agent.max_turns"] = turns
        draft.notes.append(f"{MAX_TURNS} {turns}: no version's train_ppo_ray has that flag; it is agent.max_turns")


def _take_reward(draft: Draft) -> None:
    where, model = draft.take("--reward.remote_url"), draft.take("--reward.model_name_or_path")
    for flag in (
        "--reward.num_nodes",
        "--reward.num_gpus_per_node",
        "--reward.offload",
        "--train.colocate_critic_reward",
    ):
        draft.take(flag)
    if model is not None:
        draft.notes.append(
            f"--reward_pretrain {model}: reward models are served beside the training, not inside it: list it in a "
            "rewards.yaml and name it in reward.name"
        )
    if where is None or "agent.environment" in draft.keys:
        return
    parts = [part.strip() for part in where.split(",")]
    if parts[0].endswith(".py"):
        stem = PurePosixPath(parts[0]).stem
        draft.keys["reward.name"] = stem
        draft.notes.append(
            f"--remote_rm_url {where}: a reward function is served, not loaded by the trainer: give a rewards.yaml the "
            f"reward {{name: {stem}, import_path: '{parts[0]}::reward_func'}} and start `rayreward serve rewards.yaml`"
        )
    else:
        urls = [part if "://" in part else f"http://{part}" for part in parts]
        draft.keys["reward.url"] = urls[0] if len(urls) == 1 else urls


def _take_logging(draft: Draft) -> None:
    key, project = draft.take("--logger.wandb.key"), draft.take("--logger.wandb.project")
    if key is not None:
        draft.keys["logging.wandb_project"] = project or "openrlhf_train_ppo"
        draft.notes.append(
            "--use_wandb: the key is not kept, because everybody on the cluster can read a command line; set "
            "WANDB_API_KEY on the nodes. The run is logged to logging.wandb_project"
        )
    elif project is not None:
        draft.notes.append(f"--wandb_project {project}: without --use_wandb nothing was logged there; left out")
    for flag, variable in (("--logger.wandb.org", "WANDB_ENTITY"), ("--logger.wandb.group", "WANDB_RUN_GROUP")):
        if (value := draft.take(flag)) is not None:
            draft.keys.setdefault("env_vars", {})[variable] = value
            draft.notes.append(f"{flag} {value}: W&B reads it from env_vars.{variable}")
    run_name = draft.take("--logger.wandb.run_name")
    model = draft.options.given.get("--actor.model_name_or_path") or "converted"
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", run_name or PurePosixPath(str(model)).name.lower()).strip("-._")[:100]
    draft.keys["name"] = name or "converted"
    if run_name is not None and run_name != name:
        draft.keys["logging.wandb_run_name"] = run_name


def _take_checkpoints(draft: Draft) -> None:
    folder, checkpoints = draft.take("--ckpt.output_dir"), draft.take("--ckpt.path")
    if folder is not None:
        draft.keys["checkpoint.output_dir"] = folder
    expected = f"{folder or './runs/' + draft.keys['name']}/checkpoints"
    if checkpoints not in (None, expected):
        draft.notes.append(f"--ckpt_path {checkpoints}: checkpoints are kept in {expected}, beside the model")


def _take_keys(draft: Draft) -> None:
    estimator = draft.options.given.get(
        "--algo.advantage.estimator", draft.options.default("--algo.advantage.estimator")
    )
    for key, flag in FLAG_OF_KEY.items():
        _take_key(draft, NAME_OF_KEY.get(key, key), flag)
    for key, flag in CRITIC_FLAG_OF_KEY.items():
        if estimator != "gae":
            draft.take(flag)
        elif key in FLAG_OF_KEY:
            value = draft.take(flag)
            if value not in (None, draft.keys.get(key, spec_default(key))):
                draft.notes.append(f"{flag} {value}: the critic shares the actor's {key}; left out")
        else:
            _take_key(draft, key, flag)
    samples = draft.asked("rollout.batch_size") * draft.asked("rollout.n_samples_per_prompt")
    if draft.keys.get("train.batch_size") == samples:
        del draft.keys["train.batch_size"]  # None is all of a step's samples


def _take_key(draft: Draft, key: str, flag: str) -> None:
    is_given = flag in draft.options.given
    value = draft.take(flag) if is_given else draft.options.default(flag)
    if value == _MEANS_NONE.get(key):
        value = None
    if is_given:
        draft.keys[key] = value
    elif key == "resources.vllm.engines":
        draft.notes.append("no --vllm_num_engines: one vLLM engine is planned (resources.vllm.engines)")
    elif key not in _NOT_FILLED and value != _plain(spec_default(key)):
        draft.fill(key, value)


def _take_roles(draft: Draft) -> None:
    actor, reference, critic = (_take_shape(draft, role) for role in ("actor", "ref", "critic"))
    _describe_role(draft, "actor", actor, _ONE_GPU)
    # The other two take the actor's shape in a spec that does not describe them.
    if draft.asked("algorithm.kl_coef") > 0:
        _describe_role(draft, "reference", reference, actor)
    if draft.asked("algorithm.estimator") == "gae":
        _describe_role(draft, "critic", critic, actor)
    together, with_reference = draft.take("--train.colocate_all"), draft.take("--train.colocate_actor_ref")
    if together or with_reference:
        draft.keys["resources.colocate"] = "all" if together else "actor_ref"


def _take_shape(draft: Draft, role: str) -> dict[str, Any]:
    """What the command says of a role's GPUs; None where it says nothing."""
    return {"nodes": draft.take(f"--{role}.num_nodes"), "gpus_per_node": draft.take(f"--{role}.num_gpus_per_node")}


def _describe_role(draft: Draft, key: str, shape: dict[str, Any], expected: Mapping[str, Any]) -> None:
    for part, default in _ROLE_DEFAULT.items():
        if shape[part] is None:
            shape[part] = default
            if default != expected[part]:
                draft.filled.append(f"resources.{key}.{part} {default}")
    if shape != expected:
        draft.keys[f"resources.{key}"] = shape


def _take_the_rest(draft: Draft) -> None:
    for flag, value in list(draft.options.given.items()):
        if _plain(PINNED_FLAGS.get(flag)) != draft.take(flag):
            draft.keys[f"extra_args.{flag.removeprefix('--')}"] = value


def _note_gaps(draft: Draft) -> None:
    if draft.filled:
        draft.notes.append(
            f"left out by the command, and written down as OpenRLHF {draft.options.version} has it: "
            + ", ".join(draft.filled)
        )
    for key, flag in REQUIRED.items():
        if key not in draft.keys:
            draft.notes.append(f"{key} is missing: the command has no {flag}; fill it in")
    for key, value in draft.keys.items():
        if isinstance(value, str) and _UNKNOWN_VALUE.search(value):
            draft.notes.append(f"{key} is {value}, which the text gives no value: fill it in")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
