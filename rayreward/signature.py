"""How a reward's function wants to be called: which of a sample's fields it takes, by name.

What arrives: a function and samples. What leaves: the keyword arguments of its call. Decided once, when the function
is wrapped, so that a call costs only the filling in.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal

from rayreward.errors import ConfigError, InvalidInputError, did_you_mean
from rayreward.sample import Sample

Mode = Literal["pointwise", "batch", "group"]

_POINTWISE: dict[str, Callable[[Sample], Any]] = {
    "messages": lambda sample: list(sample.messages),
    "original_messages": lambda sample: list(sample.original_messages),
    "prompt": attrgetter("prompt"),
    "response": attrgetter("response"),
    "completion": attrgetter("response"),
    "query": attrgetter("text"),
    "label": attrgetter("label"),
    "ground_truth": attrgetter("label"),
    "metadata": lambda sample: dict(sample.metadata),
    "steps": attrgetter("steps"),
    "token_ids": attrgetter("token_ids"),
    "id": attrgetter("id"),
    "sample": lambda sample: sample,
    "trajectory": lambda sample: sample,
}
_BATCH: dict[str, Callable[[Sample], Any]] = {
    "messages": _POINTWISE["messages"],
    "original_messages": _POINTWISE["original_messages"],
    "prompts": _POINTWISE["prompt"],
    "responses": _POINTWISE["response"],
    "completions": _POINTWISE["response"],
    "queries": _POINTWISE["query"],
    "labels": _POINTWISE["label"],
    "ground_truths": _POINTWISE["label"],
    "metadata": _POINTWISE["metadata"],
    "ids": _POINTWISE["id"],
    "samples": _POINTWISE["sample"],
    "trajectories": _POINTWISE["sample"],
}
_ONLY_BATCH = _BATCH.keys() - _POINTWISE.keys()
_NOT_IN_KWARGS = frozenset({"sample", "trajectory", "samples", "trajectories", "steps", "token_ids", "id", "ids"})


@dataclass(frozen=True)
class Signature:
    """What one function takes.

    Attributes:
        mode: "pointwise" (one call a sample), "batch" (one call, every field a list) or "group" (the same, called
            once for all samples of a prompt).
        taken: the sample fields that it names, or all the usual ones where it has ``**kwargs``.
        own: its further parameters: filled from its configured arguments, else from metadata columns.
        required: those of `own` that have no default.
        open: True where it has ``**kwargs`` and so takes every metadata column.
    """

    mode: Mode
    taken: tuple[str, ...]
    own: tuple[str, ...]
    required: frozenset[str]
    open: bool

    def arguments(self, sample: Sample, configured: Mapping[str, Any]) -> dict[str, Any]:
        """The keyword arguments for one sample; configured ones win over the sample's own.

        Raises:
            InvalidInputError: a required column is missing; its name is in the message.
        """
        columns = sample.metadata
        arguments = dict(columns) if self.open else {name: columns[name] for name in self.own if name in columns}
        for name in self.taken:
            arguments[name] = _POINTWISE[name](sample)
        arguments.update(configured)
        return self._complete(arguments)

    def batch_arguments(self, samples: Sequence[Sample], configured: Mapping[str, Any]) -> dict[str, Any]:
        """The keyword arguments for a batch: every field a list of ``len(samples)`` values."""
        columns = {name for sample in samples for name in sample.metadata} if self.open else set(self.own)
        arguments: dict[str, Any] = {
            name: [sample.metadata.get(name) for sample in samples]
            for name in columns
            if any(name in sample.metadata for sample in samples)
        }
        for name in self.taken:
            arguments[name] = [_BATCH[name](sample) for sample in samples]
        arguments.update(configured)
        return self._complete(arguments)

    def _complete(self, arguments: dict[str, Any]) -> dict[str, Any]:
        missing = [name for name in self.required if name not in arguments]
        if missing:
            raise InvalidInputError(
                f"the reward needs {min(missing)!r}, which is neither a field nor a metadata column of the sample; "
                f"send it in metadata or configure it as an argument"
            )
        return arguments


def read_signature(
    function: Callable[..., Any], *, mode: Mode | None = None, configured: Mapping[str, Any] | None = None
) -> Signature:
    """What `function` takes. Without `mode`, plural names (queries, prompts, labels, …) say that it takes batches.

    Raises:
        ConfigError: it has no parameter at all, positional-only ones, or none for a configured argument; or it takes
            batches and names a field of a single sample.

    Example:
        >>> read_signature(lambda response, label: 1.0).taken
        ('response', 'label')
        >>> read_signature(lambda queries, prompts, labels: 1.0).mode
        'batch'
    """
    title = getattr(function, "__name__", repr(function))
    parameters = _parameters(function, title)
    named = [p for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD]
    is_open = len(named) < len(parameters)
    names = [parameter.name for parameter in named]
    if mode is None:
        mode = "batch" if any(name in _ONLY_BATCH for name in names) else "pointwise"
    fields = _POINTWISE if mode == "pointwise" else _BATCH
    if any(parameter.kind is inspect.Parameter.POSITIONAL_ONLY for parameter in named):
        raise ConfigError(f"reward {title!r} has positional-only parameters; rewards are called by keyword")
    if not named and not is_open:
        raise ConfigError(f"reward {title!r} takes no parameter; give it at least one of: {', '.join(fields)}")
    _check_names(title, names, mode, () if is_open else configured or ())
    taken = [name for name in names if name in fields]
    if is_open:
        taken += [name for name in fields if name not in taken and name not in _NOT_IN_KWARGS]
    taken = [name for name in taken if name not in (configured or {})]
    own = [parameter for parameter in named if parameter.name not in fields]
    required = frozenset(parameter.name for parameter in own if parameter.default is inspect.Parameter.empty)
    return Signature(mode, tuple(taken), tuple(parameter.name for parameter in own), required, is_open)


def _parameters(function: Callable[..., Any], title: str) -> list[inspect.Parameter]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some of Python's own functions
        raise ConfigError(f"reward {title!r} does not tell its parameters; wrap it in a function that does") from None
    return [parameter for parameter in parameters if parameter.kind is not inspect.Parameter.VAR_POSITIONAL]


def _check_names(title: str, names: Sequence[str], mode: Mode, configured: Iterable[str]) -> None:
    for name in configured:
        if name not in names:
            raise ConfigError(f"reward {title!r} has no parameter {name!r}; {did_you_mean(name, names)}")
    for name in names:
        plural = name[:-1] + "ies" if name.endswith("y") else name + "s"
        if mode != "pointwise" and name in _POINTWISE and name not in _BATCH and plural in _BATCH:
            raise ConfigError(f"reward {title!r} takes batches, so its parameter {name!r} must be {plural!r}, a list")
