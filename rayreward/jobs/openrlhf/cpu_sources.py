"""OpenRLHF 0.11.2's own sources, adapted to a CPU while they are imported.

What arrives: the import of one of a dozen ``openrlhf`` modules in any process of a ``platform: cpu`` job (`cpu_site`
installs this module there). What leaves: that module, compiled from its own text with a few replacements. What it
promises: torch, DeepSpeed, vLLM and Ray stay as they are on disk, and so does openrlhf; nothing of rollout, reward or
training logic is touched; each replacement states how often it must match, so that any other text is an error and
never a guess.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any, NoReturn

from rayreward.jobs.openrlhf.cpu import SUPPORTED_OPENRLHF

NAME_IN_SOURCES = "cpu_sources"
"""The global under which an adapted module finds this one."""


@dataclass(frozen=True)
class Rule:
    """Replace `old` by `new` in one module, where it stands exactly `count` times, because of `reason`."""

    module: str
    old: str
    new: str
    count: int
    reason: str


FLOAT32_REASON = (
    "a CPU without bf16 instructions multiplies bf16 about twenty times slower (6 against 75 ms for a small layer)"
)


def _cuda(module: str, count: int) -> Rule:
    reason = "devices, streams and synchronisation: there is one device, and it is always ready"
    return Rule(module, "torch.cuda.", f"{NAME_IN_SOURCES}.NoCuda.", count, reason)


RULES: tuple[Rule, ...] = (
    Rule(
        "openrlhf.models.ring_attn_utils",
        "from flash_attn.bert_padding import",
        "from rayreward.jobs.openrlhf.cpu_sources import",
        1,
        "imported always, used with packing_samples only; a fake flash_attn package would mislead transformers",
    ),
    Rule(
        "openrlhf.models.ring_attn_utils",
        "from flash_attn.utils.distributed import",
        "from rayreward.jobs.openrlhf.cpu_sources import",
        1,
        "as above",
    ),
    Rule(
        "openrlhf.utils.distributed_util",
        "    from vllm.distributed.device_communicators.pynccl import PyNcclCommunicator\n",
        f"    return {NAME_IN_SOURCES}.GlooGroup.connect(master_address, master_port, rank, world_size)\n",
        1,
        "weights travel to the engines over NCCL, whatever --vllm.sync_backend says",
    ),
    _cuda("openrlhf.utils.distributed_util", 1),
    Rule(
        "openrlhf.trainer.ray.vllm_worker_wrap",
        'device="cuda"',
        'device="cpu"',
        1,
        "where a received weight lies before it is loaded",
    ),
    Rule(
        "openrlhf.trainer.ray.vllm_worker_wrap",
        "class WorkerWrap:",
        f"{NAME_IN_SOURCES}.keep_weights_loadable()\n\n\nclass WorkerWrap:",
        1,
        "the one openrlhf module that each vLLM worker imports before it loads the model",
    ),
    _cuda("openrlhf.trainer.ray.vllm_worker_wrap", 2),
    Rule(
        "openrlhf.trainer.ppo_utils.replay_buffer",
        'torch.device(f"cuda:{torch.cuda.current_device()}")',
        'torch.device("cpu")',
        1,
        "the device of the buffer, built from a number",
    ),
    _cuda("openrlhf.trainer.ppo_utils.replay_buffer", 4),
    Rule("openrlhf.trainer.ray.ppo_actor", 'self.ema_beta, "cuda")', 'self.ema_beta, "cpu")', 2, "where the EMA lies"),
    _cuda("openrlhf.trainer.ray.ppo_actor", 9),
    _cuda("openrlhf.trainer.ray.ppo_critic", 5),
    _cuda("openrlhf.trainer.ray.launcher", 4),
    _cuda("openrlhf.utils.loss_utils", 2),
    Rule(
        "openrlhf.utils.deepspeed.deepspeed", '"cuda", (dp_size,', '"cpu", (dp_size,', 1, "the device mesh of the ranks"
    ),
    Rule(
        "openrlhf.utils.deepspeed.deepspeed",
        "        deepspeed.init_distributed(",
        f"        {NAME_IN_SOURCES}.skip_shared_memory_op()\n        deepspeed.init_distributed(",
        1,
        "DeepSpeed would compile an all-reduce for many ranks with g++ and ninja: minutes, and needs a compiler",
    ),
    Rule(
        "openrlhf.utils.deepspeed.deepspeed",
        '"type": "AdamW",\n                "params": {',
        '"type": "AdamW",\n                "params": {"torch_adam": True,',
        1,
        "torch's AdamW instead of DeepSpeed's, which is compiled like the above",
    ),
    Rule("openrlhf.utils.utils", "return torch.bfloat16", "return torch.float32", 1, FLOAT32_REASON),
    Rule("openrlhf.trainer.ray.vllm_engine", '"dtype": "bfloat16"', '"dtype": "float32"', 1, FLOAT32_REASON),
    Rule("openrlhf.utils.deepspeed.deepspeed_utils", 'param_dtype == "bf16"', "False", 2, FLOAT32_REASON),
    _cuda("openrlhf.utils.deepspeed.deepspeed", 5),
    _cuda("openrlhf.utils.deepspeed.deepspeed_utils", 4),
)


ADAPTED_MODULES = frozenset(rule.module for rule in RULES)


def adapt(module: str, text: str, rules: Sequence[Rule] = RULES) -> str:
    """The text of an openrlhf module as a CPU can run it.

    Raises:
        ImportError: a rule does not match as often as it must.
    """
    for rule in (rule for rule in rules if rule.module == module):
        found = text.count(rule.old)
        if found != rule.count:
            raise ImportError(
                f"platform cpu: {module} holds {rule.old!r} {found} times instead of {rule.count}; "
                f"install an unmodified openrlhf=={SUPPORTED_OPENRLHF}, or run with platform: gpu"
            )
        text = text.replace(rule.old, rule.new)
    return text


def install() -> None:
    """Adapt the modules that have rules, in this process, from now on.

    Raises:
        ImportError: the installed OpenRLHF is not the one that the rules were written for.
    """
    version = importlib.metadata.version("openrlhf")
    if version != SUPPORTED_OPENRLHF:
        raise ImportError(
            f"platform cpu knows openrlhf {SUPPORTED_OPENRLHF} only, found {version}; "
            f"pip install openrlhf=={SUPPORTED_OPENRLHF}, or run with platform: gpu"
        )
    if _AdaptingFinder not in sys.meta_path:
        sys.meta_path.insert(0, _AdaptingFinder)


class _AdaptingFinder:
    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in ADAPTED_MODULES:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
            spec.loader = _AdaptingLoader(name, spec.origin)
        return spec


class _AdaptingLoader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        text = adapt(fullname, self.get_data(self.path).decode())
        code: CodeType = compile(text, self.path, "exec", dont_inherit=True)
        return code

    def exec_module(self, module: ModuleType) -> None:
        setattr(module, NAME_IN_SOURCES, sys.modules[__name__])
        super().exec_module(module)


class NoCuda:
    """What openrlhf itself calls of ``torch.cuda``."""

    @staticmethod
    def current_device() -> str:
        """Used as the target of ``.to`` and of new tensors."""
        return "cpu"

    @staticmethod
    def is_available() -> bool:
        """Never, also where a CUDA build of torch sees a GPU."""
        return False

    @staticmethod
    def current_stream() -> None:
        """Handed to `GlooGroup.broadcast`, which has no use for it."""

    @staticmethod
    def set_device(device: Any) -> None:
        """One device: nothing to choose."""

    @staticmethod
    def synchronize() -> None:
        """Every operation has ended when its call returns."""

    @staticmethod
    def empty_cache() -> None:
        """The allocator keeps no cache."""


class GlooGroup:
    """The trainer and its engines, with the one method of vLLM's NCCL communicator that openrlhf calls."""

    def __init__(self, group: Any) -> None:
        self._group = group

    @classmethod
    def connect(cls, host: str, port: int, rank: int, world_size: int) -> GlooGroup:
        """Meet the other ranks outside torch's default group: DeepSpeed and vLLM have one each already."""
        from vllm.distributed import utils

        connect = utils.stateless_init_torch_distributed_process_group
        return cls(connect(host, port, rank, world_size, backend="gloo"))

    def broadcast(self, tensor: Any, src: int, stream: None = None) -> None:
        """Send `tensor` from rank `src`, or fill it there, in place."""
        import torch

        # As bytes: gloo has no bf16.
        self._group.broadcast(tensor.detach().view(torch.uint8), src).wait()


def keep_weights_loadable() -> None:
    """Have vLLM multiply with the weights that it was given.

    vLLM's CPU build packs linear weights and drops the originals, so that the second ``load_weights``, which is the
    weight sync, dies of "'Parameter' object has no attribute 'weight_loader'", or leaves a packed head stale.
    """
    import torch

    def dispatch(layer: Any, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    _replace("vllm.model_executor.layers.utils", "dispatch_cpu_unquantized_gemm", dispatch)


def skip_shared_memory_op() -> None:
    """Have DeepSpeed reduce over gloo, which serves one rank as well."""
    _replace("deepspeed.comm.torch", "build_shm_op", lambda: None)


def _replace(module: str, name: str, value: Any) -> None:
    target = importlib.import_module(module)
    if not hasattr(target, name):
        raise ImportError(f"platform cpu: {module}.{name} is gone; install the versions of constraints.txt")
    setattr(target, name, value)


def _needs_flash_attn(*args: Any, **kwargs: Any) -> NoReturn:
    raise NotImplementedError(
        "flash_attn does not exist on a CPU; only train.packing_samples needs it: set it to false"
    )


index_first_axis = pad_input = rearrange = unpad_input = all_gather = _needs_flash_attn
