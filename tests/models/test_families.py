"""Which family a checkpoint is: told by config.json and the names and shapes of tensors, so that none is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rayreward.errors import ConfigError, RewardLoadError
from rayreward.models.checkpoint import Checkpoint
from rayreward.models.families import Family, recognise
from rayreward.models.settings import ModelSettings

TRUNK = {"model.embed_tokens.weight": (20, 16), "model.norm.weight": (16,)}
GATED = {
    "regression_layer.weight": (19, 16), "reward_transform_matrix": (19, 19), "gating.logit_scale": (1,),
    "gating.layers.0.weight": (8, 16), "gating.layers.0.bias": (8,),
}  # fmt: skip
PAIR = {
    "pretrained_model.embeddings.word_embeddings.weight": (20, 16), "head_layer.1.weight": (16, 32),
    "head_layer.1.bias": (16,), "head_layer.4.weight": (1, 16), "head_layer.4.bias": (1,),
}  # fmt: skip
VALUE = {"v_head.summary.weight": (1, 16), "v_head.summary.bias": (1,)}
DEEP = {"score.0.weight": (16, 16), "score.0.bias": (16,), "score.2.weight": (2, 16), "score.2.bias": (2,)}


def checkpoint(
    head: dict[str, tuple[int, ...]], architecture: str = "LlamaForSequenceClassification", **config: Any
) -> Checkpoint:
    shapes = {**TRUNK, **head}
    values = {"model_type": "llama", "architectures": [architecture], **config}
    return Checkpoint("the/model", Path("nowhere"), values, shapes, dict.fromkeys(shapes, Path("nowhere/file")))


def family(*args: Any, settings: dict[str, Any] | None = None, **config: Any) -> Family:
    return recognise(checkpoint(*args, **config), ModelSettings("the/model", **(settings or {})))


class TestLinear:
    def test_a_classifier_of_one_label_reads_what_its_template_writes(self) -> None:
        assert family({"score.weight": (1, 16)}) == Family("linear", ("score.weight",))

    @pytest.mark.parametrize(
        ("head", "architecture", "config"),
        [
            ("score", "RewardModel", {}),
            ("score", "LlamaForCausalLM", {}),
            ("score", "LlamaForSequenceClassification", {"mean": 1.0, "std": 2.0}),
            ("score", "LlamaForSequenceClassification", {"normalize_reward": False}),
            ("value_head", "LlamaForSequenceClassification", {}),
            ("reward_out", "LlamaModel", {"value_head_prefix": "reward_out"}),
        ],
    )
    def test_openrlhf_is_known_by_what_only_it_writes(
        self, head: str, architecture: str, config: dict[str, Any]
    ) -> None:
        tensors = {f"{head}.weight": (1, 16), "lm_head.weight": (20, 16)}
        assert family(tensors, architecture, **config) == Family("linear", (f"{head}.weight",), is_openrlhf=True)

    def test_several_labels_are_refused(self) -> None:
        with pytest.raises(RewardLoadError, match=r"'the/model' has 3 labels; a reward model has one \(found score.we"):
            family({"score.weight": (3, 16)})

    def test_two_layers_are_one_head(self) -> None:
        tensors = {**DEEP, "score.2.weight": (1, 16), "score.2.bias": (1,)}
        assert family(tensors, "Qwen2ForRewardModel").kind == "mlp"


class TestOthers:
    def test_a_gated_head_brings_all_its_parts(self) -> None:
        found = family(GATED, "LlamaForRewardModelWithGating")
        assert found.kind == "gated"
        assert set(found.tensors) == GATED.keys()
        partly = {name: shape for name, shape in GATED.items() if name != "reward_transform_matrix"}
        with pytest.raises(RewardLoadError, match=r"a gated head .* no trained weights for reward_transform_matrix"):
            family(partly, "LlamaForRewardModelWithGating")

    def test_objectives_without_a_gate_are_another_model(self) -> None:
        with pytest.raises(RewardLoadError, match=r"beside its trunk regression_layer.weight\) holds no trained"):
            family({"regression_layer.weight": (10, 16)}, "LlamaForSequenceClassificationWithNormal_Weights")

    def test_a_pair_head_has_a_prefixed_encoder(self) -> None:
        found = family(PAIR, "DebertaV2PairRM", model_type="deberta-v2")
        assert (found.kind, found.is_encoder, found.trunk_prefix) == ("pair", True, "pretrained_model.")

    def test_an_encoder_is_one_by_its_type(self) -> None:
        config = {"model_type": "deberta-v2"}
        found = family({"classifier.weight": (1, 16)}, "DebertaV2ForSequenceClassification", **config)
        assert found == Family("encoder", is_encoder=True)
        with pytest.raises(RewardLoadError, match=r"has 2 labels; a reward model has one"):
            family({"classifier.weight": (2, 16)}, "DebertaV2ForSequenceClassification", **config)
        with pytest.raises(RewardLoadError, match=r"no trained weights for classifier.weight"):
            family({"lm_predictions.dense.weight": (16, 16)}, "DebertaV2ForMaskedLM", **config)


class TestSteps:
    MIN: dict[str, Any] = {"steps_as_score": "min"}  # noqa: RUF012 - read only

    def test_qwens_has_two_labels_and_its_own_token(self) -> None:
        found = family(DEEP, "Qwen2ForProcessRewardModel", settings=self.MIN)
        assert (found.kind, found.step_token) == ("step_labels", "<extra_0>")

    def test_how_steps_become_a_score_is_never_guessed(self) -> None:
        with pytest.raises(ConfigError, match=r"say how its steps become one score by steps_as_score, one of 'min'"):
            family(DEEP, "Qwen2ForProcessRewardModel")

    def test_trls_needs_the_token_that_ended_its_steps(self) -> None:
        head = {"score.weight": (2, 16), "score.bias": (2,)}
        with pytest.raises(ConfigError, match=r"give step_token, the token that ended each step"):
            family(head, "Qwen2ForTokenClassification", settings=self.MIN)
        found = family(head, "Qwen2ForTokenClassification", settings={**self.MIN, "step_token": "\n"})
        assert (found.kind, found.tensors) == ("step_labels", ("score.weight", "score.bias"))
        with pytest.raises(RewardLoadError, match=r"has 5 labels; a process reward model has two"):
            family({"score.weight": (5, 16)}, "Qwen2ForTokenClassification", settings=self.MIN)

    def test_skyworks_is_a_value_head_of_a_class_that_says_so(self) -> None:
        assert family(VALUE, "Qwen2ForPrmModel", settings=self.MIN).kind == "step_value"

    def test_a_value_head_of_no_known_class_is_only_read_when_it_is_named(self) -> None:
        with pytest.raises(RewardLoadError, match=r"a value head, which may be a critic's: give head='linear' where"):
            family(VALUE, "LlamaForCausalLM")
        assert family(VALUE, "LlamaForCausalLM", settings={"head": "linear"}).tensors == tuple(VALUE)
        assert family(VALUE, "LlamaForCausalLM", settings={**self.MIN, "head": "step"}).kind == "step_value"

    def test_a_language_model_judges_steps_only_when_it_is_named(self) -> None:
        tokens = {"head": "step_tokens", "step_token": "ки", "good_token": "+", "bad_token": "-", **self.MIN}
        found = family({"lm_head.weight": (20, 16)}, "MistralForCausalLM", settings=tokens)
        assert found == Family("step_tokens", ("lm_head.weight",))
        tied = family({}, "Qwen2ForCausalLM", tie_word_embeddings=True, settings=tokens)
        assert tied.tensors == ("model.embed_tokens.weight",)


class TestNoHead:
    def test_a_language_model_is_no_reward_model(self) -> None:
        with pytest.raises(RewardLoadError) as caught:
            family({"lm_head.weight": (20, 16)}, "LlamaForCausalLM")
        assert str(caught.value) == (
            "'the/model' (found LlamaForCausalLM, beside its trunk lm_head.weight) holds no trained weights for "
            "score.weight: its scores would be random. Give a checkpoint that was trained as a reward model; where its "
            "head has another name, put that as value_head_prefix into its config.json; a causal language model that "
            "judges steps needs head='step_tokens'"
        )

    def test_a_head_that_was_named_must_be_there(self) -> None:
        with pytest.raises(RewardLoadError, match=r"has no head of the kind head='pair': leave it out to see"):
            family({"score.weight": (1, 16)}, settings={"head": "pair"})

    def test_encoder_decoders_are_refused(self) -> None:
        with pytest.raises(RewardLoadError, match=r"is an encoder-decoder .BartForSequenceClassification."):
            family({}, "BartForSequenceClassification", model_type="bart", is_encoder_decoder=True)
