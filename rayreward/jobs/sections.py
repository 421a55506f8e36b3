"""The sections that every kind of training has: who scores it, where it logs, what is kept.

What arrives: parsed YAML. What leaves: frozen values with defaults. Nothing here knows a trainer.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self

import pydantic
from pydantic import Field

from rayreward.strict import StrictModel

Count = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]
Platform = Literal["gpu", "cpu"]
JobName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
ExtraValue = bool | int | float | str | list[int | float | str]
Transport = Literal["http", "handle", "reward_func", "agent"]

LOCAL_SUFFIXES = (".jsonl", ".json", ".csv", ".parquet", ".arrow")


class RewardBinding(StrictModel):
    """Who scores, and how the samples get there.

    ``name`` is a reward of the router; without it the router's main reward scores. ``url`` is any other service that
    speaks OpenRLHF's protocol, or several with the same rewards.
    """

    name: str | None = None
    url: str | list[str] | None = None
    transport: Transport | None = Field(
        None,
        description="http: a request a sample. handle: through Ray, few calls for many samples. reward_func: the same "
        "from a reward_func.py, whose thread pool limits what travels together. agent: an environment's episodes. "
        "None takes agent where there is an agent section, http where there is a url, else handle",
    )
    app: str = Field(
        "auto",
        description="the Serve application of the router, for handle, reward_func and agent; auto is the one that can "
        "be meant",
    )
    wait_s: float = Field(
        600.0,
        ge=0,
        description="handle, reward_func and agent: how long samples wait for a reward that no replica answers for, "
        "before the route's failure policy speaks. The training pauses meanwhile",
    )
    max_unavailable_s: Seconds | None = Field(
        900.0, description="stop the training when its reward has answered nothing for that long; None never does"
    )
    clip_range: tuple[float, float] = (-10.0, 10.0)

    @property
    def urls(self) -> tuple[str, ...]:
        """The explicit URLs; empty where a router is to be bound."""
        if self.url is None:
            return ()
        return (self.url,) if isinstance(self.url, str) else tuple(self.url)

    @pydantic.model_validator(mode="after")
    def _names_one_scorer(self) -> Self:
        if self.name is not None and self.url is not None:
            raise ValueError("both name and url are set: keep name for a reward of the router, or url for any other")
        if self.url is not None and self.transport not in (None, "http"):
            raise ValueError(f"transport {self.transport} reaches the router through Ray: leave url out, or use http")
        for url in self.urls:
            if "," in url or not url.startswith(("http://", "https://")):
                raise ValueError(
                    f"url {url!r} must start with http:// or https:// and hold no comma; several are a list"
                )
        return self


class LoggingSpec(StrictModel):
    """Where metrics are written, besides the job's log and ``summary.json``."""

    every_steps: Count = 1
    tensorboard_dir: str | None = None
    wandb_project: str | None = Field(None, description="the key comes from WANDB_API_KEY or netrc on the nodes")
    wandb_run_name: str | None = None
    wandb_mode: Literal["online", "offline"] = Field("online", description="offline needs no account and no network")

    def resolved(self, base: Path) -> Self:
        """The same with an absolute folder."""
        board = self.tensorboard_dir
        return self.model_copy(update={"tensorboard_dir": None if board is None else absolute(board, base)})


class CheckpointSpec(StrictModel):
    """What is kept of the training."""

    output_dir: str | None = Field(None, description="the final model; None is ./runs/<name>")
    save_steps: Count | None = Field(None, description="None saves only the final model")
    save_hf: bool = False
    keep: Count = 3
    resume: bool = False

    def folder_of(self, name: str) -> str:
        """The output folder of the training `name`."""
        return self.output_dir or f"./runs/{name}"

    def resolved(self, base: Path, *, name: str) -> Self:
        """The same with an absolute folder."""
        return self.model_copy(update={"output_dir": absolute(self.folder_of(name), base)})


def is_local(path: str) -> bool:
    """Whether a path names files here rather than something on a hub, whose names are like ``owner/name``.

    Example:
        >>> is_local("Qwen/Qwen2.5-0.5B"), is_local("./Qwen/mine"), is_local("runs/a/model"), is_local("prompts.jsonl")
        (False, True, True, True)
    """
    is_deep = path.count("/") > 1 and "," not in path  # OpenRLHF takes several hub names with commas
    return path.startswith(("/", "./", "../", "~")) or path.endswith(LOCAL_SUFFIXES) or is_deep


def absolute_if_local(path: str, base: Path) -> str:
    """Local paths made absolute, several with commas too: a Ray job starts in a working directory of its own.

    Example:
        >>> absolute_if_local("./a.jsonl,owner/name,b.jsonl", Path("/data"))
        '/data/a.jsonl,owner/name,/data/b.jsonl'
    """
    return ",".join(absolute(part, base) if is_local(part) else part for part in path.split(","))


def absolute(path: str, base: Path) -> str:
    """The full path of a file or folder that was written relative to `base`."""
    return os.path.normpath(base / Path(path).expanduser())
