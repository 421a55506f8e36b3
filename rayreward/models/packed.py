"""The packed backend: units end to end in one row, no padding, shared prompts computed once.

What arrives: units. What leaves: a reading or an exception for each, in order. It promises: steps of at most
`max_step_tokens`, planned from whatever is there, never waiting; a step that runs out of memory halves that budget for
good, and is tried again in smaller steps, with a warning; a unit that does not fit alone, that breaks the model or that
it answers with NaN fails alone. The head reads in fp32 whatever the trunk computes in.

Measured by `benchmarks/models.py` (CPU) and `benchmarks/models_gpu.py`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from rayreward.errors import RewardLoadError
from rayreward.models.heads import Head
from rayreward.models.inputs import ModelInput, Reading
from rayreward.models.layout import Layout, build_layout, prefix_of, shared_prefixes
from rayreward.models.memory import is_out_of_memory, release_cached
from rayreward.models.packed_trunk import PackedTrunk
from rayreward.models.placing import is_device_lost, place
from rayreward.models.steps import UnitCost, plan_steps, tokens_of
from rayreward.models.units import mark_positions, read_rows, refusal

_log = logging.getLogger(__name__)


class PackedBackend:
    """A `Backend` for decoders, and for encoders whose attention transformers lets us replace.

    Not for several threads at once: `score` is called by one.

    Args:
        trunk_and_head: loads both; called once, by `load`. The trunk is a model of transformers without its head.
        device: "cuda", "cuda:1", "cpu"; by default CUDA where there is one.
        dtype: "bfloat16", "float16" or "float32"; by default the trunk stays as it was loaded.
        max_step_tokens: how many tokens one forward pass may carry. 8192 fill a large GPU with an 8B model; activations
            grow with it, throughput hardly does.
        max_length: of a unit; never more than the model has positions for.
        shares_prefixes: whether siblings' prompts are computed once a step. Only causal models can.

    Raises:
        RewardLoadError: at load: the model cannot be packed (`CannotPackError`: the padded backend runs it), or does
            not fit on the device.

    Example:
        >>> backend = PackedBackend(lambda: load_checkpoint("OpenRLHF/Llama-3-8b-rm-700k"), max_step_tokens=16384)
        >>> backend.cost(ModelInput(ids=(7,) * 50, prefix_tokens=30))  # beside a sibling
        20
    """

    steps_overlap = False

    def __init__(
        self,
        trunk_and_head: Callable[[], tuple[Any, Head]],
        *,
        device: str | None = None,
        dtype: str | None = None,
        max_step_tokens: int = 8192,
        max_length: int = 4096,
        shares_prefixes: bool = True,
    ) -> None:
        self._trunk_and_head, self._device, self._dtype = trunk_and_head, device, dtype
        self.max_step_tokens, self.max_length, self.shares_prefixes = max_step_tokens, max_length, shares_prefixes
        self._trunk: PackedTrunk | None = None
        self._head: Head | None = None

    def load(self) -> None:
        """Read the weights, and check that packed rows are what the trunk computes of each unit alone."""
        if self._trunk is not None:
            return
        trunk, self._head = place(*self._trunk_and_head(), device=self._device, dtype=self._dtype)
        self.max_length = min(self.max_length, getattr(trunk.config, "max_position_embeddings", self.max_length))
        self._trunk = PackedTrunk(trunk, max_length=self.max_length)
        self.shares_prefixes = self.shares_prefixes and self._trunk.is_causal
        if not self._trunk.uses_kernel:
            _log.info("attention runs segment by segment: no variable-length kernel for this device and dtype")

    def cost(self, unit: ModelInput) -> int:
        """Tokens that this unit adds to a step that already holds its prefix."""
        is_shared = self.shares_prefixes and prefix_of(unit) is not None
        return len(unit.ids) - (unit.prefix_tokens if is_shared else 0)

    def score(self, units: Sequence[ModelInput]) -> list[Reading | Exception]:
        """One answer a unit, in order.

        Raises:
            Exception: whatever broke a unit, where the model cannot compute a single token any more either.
        """
        trunk, head = self._loaded()
        answers: list[Reading | Exception | None] = [
            refusal(unit, max_length=self.max_length, vocabulary=trunk.vocabulary, marks=head.marks) for unit in units
        ]
        pending = deque(self._plan(units, [at for at, answer in enumerate(answers) if answer is None]))
        while pending:
            step = pending.popleft()
            if (
                len(step) > 1 and self._tokens(units, step) > self.max_step_tokens
            ):  # the budget fell since it was planned
                pending.extendleft(reversed(self._plan(units, step)))
                continue
            answered = self._try_step([units[at] for at in step])
            if answered is not None:
                for at, answer in zip(step, answered, strict=True):
                    answers[at] = answer
            elif len(step) > 1:
                self._halve(self._tokens(units, step))
                pending.appendleft(step)
            else:
                answers[step[0]] = _too_large(units[step[0]])
        return [answer if answer is not None else _unanswered() for answer in answers]

    def close(self) -> None:
        """Let go of the weights, and of what the device keeps."""
        self._trunk = self._head = None
        release_cached()

    def _loaded(self) -> tuple[PackedTrunk, Head]:
        if self._trunk is None or self._head is None:
            raise RewardLoadError("the packed backend is not loaded: call load() before score()")
        return self._trunk, self._head

    def _costs(self, units: Sequence[ModelInput], step: Sequence[int]) -> list[UnitCost]:
        chosen = [units[at] for at in step]
        prefixes = shared_prefixes(chosen) if self.shares_prefixes else [None] * len(chosen)
        return [
            UnitCost(len(unit.ids) - len(prefix or ()), len(prefix or ()), prefix)
            for unit, prefix in zip(chosen, prefixes, strict=True)
        ]

    def _plan(self, units: Sequence[ModelInput], step: Sequence[int]) -> list[list[int]]:
        planned = plan_steps(self._costs(units, step), self.max_step_tokens)
        return [[step[at] for at in one] for one in planned]

    def _tokens(self, units: Sequence[ModelInput], step: Sequence[int]) -> int:
        return tokens_of(self._costs(units, step))

    def _halve(self, step_tokens: int) -> None:
        """Lower the budget for good, so that a step like this one is never tried again."""
        before, self.max_step_tokens = self.max_step_tokens, max(1, min(self.max_step_tokens, step_tokens) // 2)
        _log.warning(
            "a step of %d tokens ran out of memory: steps carry at most %d tokens from now on (before: %d), and its "
            "units are tried again in smaller steps; set max_step_tokens lower to avoid this",
            step_tokens, self.max_step_tokens, before,
        )  # fmt: skip

    def _try_step(self, units: Sequence[ModelInput]) -> list[Reading | Exception] | None:
        """The step's answers, or None where it ran out of memory. What breaks a step breaks one of its units."""
        try:
            return list(self._run(units))
        except Exception as error:  # the boundary: all that torch and a model's own code may raise
            if is_device_lost(error):
                raise
            failure = None if is_out_of_memory(error) else error.with_traceback(None)
        if failure is None:
            release_cached()
            return None
        if len(units) > 1:
            alone = [(unit, self._try_step([unit])) for unit in units]
            return [_too_large(unit) if answered is None else answered[0] for unit, answered in alone]
        self._check_alive(failure)
        return [failure]

    def _check_alive(self, failure: Exception) -> None:
        """Raise `failure` where not even a single token can be computed any more."""
        try:
            self._run([ModelInput((0,), marks=dict.fromkeys(self._loaded()[1].marks, (0,)))])
        except Exception as error:
            raise failure from error

    def _run(self, units: Sequence[ModelInput]) -> list[Reading | Exception]:
        import torch

        trunk, head = self._loaded()
        layout = build_layout(units, shares_prefixes=self.shares_prefixes)
        positions = mark_positions(units, head.marks)
        with torch.inference_mode():
            hidden_T_H = trunk.run(layout)
            rows = {mark: hidden_T_H[_rows(layout, of_units)].float() for mark, of_units in positions.items()}
            return read_rows(head, rows, positions, layout.computed_tokens)


def _rows(layout: Layout, of_units: Sequence[Sequence[int]]) -> list[int]:
    """Where the positions of all units lie, in order."""
    return [layout.row(at, position) for at, positions in enumerate(of_units) for position in positions]


def _too_large(unit: ModelInput) -> MemoryError:
    return MemoryError(
        f"a unit of {len(unit.ids)} tokens does not fit on the device beside the model, even alone: lower max_length, "
        f"or give the model more memory"
    )


def _unanswered() -> Exception:
    return RuntimeError("the packed backend left a unit without an answer: this is a bug in rayreward")
