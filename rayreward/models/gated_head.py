"""ArmoRM's head: many objectives, and a gate that weighs them by what the prompt asks for.

What arrives: the hidden rows of the last token, which holds the objectives, and of the prompt's end, which the gate
reads. What leaves: the weighted sum as the reward, and each objective by its name.
Source: ArmoRM (arXiv 2406.12845) and the code published with RLHFlow/ArmoRM-Llama3-8B-v0.1; its own code reads the
last token as the one before the first padding token, which is the same for a text without padding.
Shapes: U units, H hidden width, O objectives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rayreward.errors import RewardLoadError
from rayreward.models.heads import LAST
from rayreward.models.inputs import Reading
from rayreward.models.score_layers import Normalisation, ScoreLayers, named_layers

GATE = "gate"
"""The mark of the token that the gate reads: the first of those that open the last answer."""

ARMORM_OBJECTIVES = (
    "helpsteer-helpfulness", "helpsteer-correctness", "helpsteer-coherence", "helpsteer-complexity",
    "helpsteer-verbosity", "ultrafeedback-overall_score", "ultrafeedback-instruction_following",
    "ultrafeedback-truthfulness", "ultrafeedback-honesty", "ultrafeedback-helpfulness", "beavertails-is_safe",
    "prometheus-score", "argilla-overall_quality", "argilla-judge_lm", "code-complexity", "code-style",
    "code-explanation", "code-instruction-following", "code-readability",
)  # fmt: skip
"""In the order of the model's outputs, as its model card lists them."""


class GatedHead:
    """Objectives from the last token, weighed by a gate over the prompt.

    Args:
        tensors: the checkpoint's own, by name: `regression_layer`, `reward_transform_matrix`, `gating.…`.
        temperature: of the gate's softmax.
        names: of the objectives; by default ArmoRM's where there are 19, else numbers.
        normalisation: of the reward; objectives are never normalised.

    Raises:
        RewardLoadError: shapes that do not fit on each other, or a gate of another build.
    """

    marks: tuple[str, ...] = (GATE,)

    def __init__(
        self,
        tensors: Mapping[str, Any],
        *,
        temperature: float = 10.0,
        names: Sequence[str] = (),
        normalisation: Normalisation | None = None,
    ) -> None:
        import torch

        self._objectives = ScoreLayers(named_layers(tensors, ["regression_layer"]))
        self._gate = ScoreLayers(named_layers(tensors, _gate_stems(tensors)), torch.nn.functional.relu)
        self._transform_O_O = tensors["reward_transform_matrix"].float()
        self._scale = float(tensors["gating.logit_scale"].reshape(-1)[0])
        self._temperature = float(temperature)
        self._normalisation = normalisation or Normalisation()
        count = self._objectives.output_width
        self._names = tuple(names) or (ARMORM_OBJECTIVES if count == len(ARMORM_OBJECTIVES) else _numbered(count))
        self._check(count)

    def _check(self, count: int) -> None:
        widths = {
            "names": len(self._names),
            "the gate": self._gate.output_width,
            "reward_transform_matrix": tuple(self._transform_O_O.shape),
        }
        expected = {"names": count, "the gate": count, "reward_transform_matrix": (count, count)}
        wrong = [name for name, width in widths.items() if width != expected[name]]
        if wrong:
            raise RewardLoadError(
                f"a gated head of {count} objectives has {wrong[0]} for {widths[wrong[0]]}: the checkpoint's parts do "
                f"not belong together"
            )

    def to(self, device: Any) -> GatedHead:
        """Move the weights, in place."""
        self._objectives.to(device)
        self._gate.to(device)
        self._transform_O_O = self._transform_O_O.to(device)
        return self

    def read(self, rows: Mapping[str, Any], counts: Mapping[str, Sequence[int]]) -> list[Reading]:
        """The gated sum and the objectives: see `Head.read`."""
        import torch

        objectives_U_O = self._objectives(rows[LAST])
        gate_U_O = torch.softmax(self._gate(rows[GATE]) / self._temperature, dim=-1) * self._scale
        rewards_U = (gate_U_O * (objectives_U_O @ self._transform_O_O)).sum(-1)
        return [
            Reading(raw, self._normalisation.apply(raw), dict(zip(self._names, objectives_O, strict=True)))
            for raw, objectives_O in zip(rewards_U.tolist(), objectives_U_O.tolist(), strict=True)
        ]


def _gate_stems(tensors: Mapping[str, Any]) -> list[str]:
    """The gate's layers in order; other tensors of a gate (batch norms, …) are another build's."""
    known = {"gating.logit_scale"}
    stems: list[str] = []
    while f"gating.layers.{len(stems)}.weight" in tensors:
        stem = f"gating.layers.{len(stems)}"
        stems.append(stem)
        known |= {f"{stem}.weight", f"{stem}.bias"}
    others = sorted(name for name in tensors if name.startswith("gating.") and name not in known)
    if others:
        raise RewardLoadError(f"a gated head has tensors that no known gate has: {', '.join(others[:3])}")
    return stems


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"objective_{at}" for at in range(count))
