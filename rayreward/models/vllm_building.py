"""A checkpoint and settings become a `VllmBackend`, and it is probed.

What arrives: what `rayreward.models.building` has read. What leaves: a backend that is not loaded yet, or the reason
why vLLM cannot run this model exactly.
"""

from __future__ import annotations

import logging
import math
from types import SimpleNamespace

from rayreward.errors import RewardLoadError
from rayreward.models.checkpoint import Checkpoint
from rayreward.models.families import Family
from rayreward.models.model_loading import load_model, normalisation_of
from rayreward.models.positions import position_limit
from rayreward.models.probing import StartProbe
from rayreward.models.settings import ModelSettings
from rayreward.models.vllm_backend import VllmBackend

_log = logging.getLogger(__name__)

_PROBED_PARAMETERS = 200_000_000
"""Up to so many, a second copy runs the probe on the CPU at a start: a second or two, and 0.8 GB for so long."""


def build_vllm(checkpoint: Checkpoint, family: Family, settings: ModelSettings) -> VllmBackend:
    """The backend; its engine starts at `load`.

    Raises:
        RewardLoadError: a head that is not one linear layer at the last token of a decoder.
    """
    if family.kind != "linear" or family.trunk_prefix:
        raise RewardLoadError(
            f"{checkpoint.name!r}: vLLM runs decoders with one linear output here, and this is a model of the kind "
            f"{family.kind!r}: take backend='auto'"
        )
    normalisation = normalisation_of(checkpoint, settings)
    return ProbedVllmBackend(
        checkpoint,
        family,
        settings,
        mean=normalisation.mean,
        std=normalisation.std,
        max_length=min(
            settings.max_length, position_limit(SimpleNamespace(**checkpoint.config)) or settings.max_length
        ),
    )


class ProbedVllmBackend(VllmBackend):
    """A `VllmBackend` that is compared with the plain forward when it is loaded, where the model is small.

    The engine has the weights to itself, in processes of its own: the plain forward needs a second copy. Of a model
    that is too large for that, ``rayreward verify-model --backend vllm`` makes the comparison on demand.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        family: Family,
        settings: ModelSettings,
        *,
        mean: float,
        std: float,
        max_length: int,
    ) -> None:
        super().__init__(
            str(checkpoint.folder),
            head=family.tensors[0],
            mean=mean,
            std=std,
            device=settings.device,
            dtype=settings.dtype,
            max_length=max_length,
            max_step_tokens=settings.max_step_tokens,
            trust_remote_code=settings.trust_remote_code,
            further=settings.vllm,
        )
        self._checkpoint, self._family, self._settings = checkpoint, family, settings

    def load(self) -> None:
        """Start the engine, and compare."""
        super().load()
        if not self._settings.probe:
            return
        parameters = sum(math.prod(shape) for shape in self._checkpoint.shapes.values())
        if parameters > _PROBED_PARAMETERS:
            _log.warning(
                "%s is not probed: its plain forward would need a second copy of %.1f billion parameters; run "
                "`rayreward verify-model --backend vllm` once",
                self._checkpoint.name, parameters / 1e9,
            )  # fmt: skip
            return
        try:
            trunk, head = load_model(self._checkpoint, self._family, self._settings)
            dtype = "float8" if self._further.get("quantization") else self._settings.dtype
            probe = StartProbe(self._checkpoint.name, trunk.eval(), head, dtype=dtype, max_length=self.max_length)
            probe.check(self)
        except BaseException:
            self.close()
            raise
