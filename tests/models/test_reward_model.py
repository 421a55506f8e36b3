from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import torch

from rayreward import LocalClient, RewardOutput, Sample
from rayreward.errors import ConfigError, RewardLoadError
from rayreward.rewards import CompositeReward, LengthReward, RewardModel
from tests.models.tiny import make_decoder, make_encoder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_decoder(tmp_path_factory.mktemp("decoder"))


def plain_forward(folder: Path, *texts: str, pad: int | None = None, **options: Any) -> float:
    """The score as a page of documentation would compute it: one text, no padding."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    model.config.pad_token_id = pad
    with torch.no_grad():
        return float(
            model(**AutoTokenizer.from_pretrained(folder)(*texts, return_tensors="pt", **options)).logits[0, 0]
        )


def reason(output: RewardOutput) -> str:
    assert output.failure is not None
    return f"{output.failure.kind}: {output.failure.message}"


class TestEncoder:
    def test_a_pair_scores_as_in_the_plain_forward_segments_included(self, encoder: Path) -> None:
        score = RewardModel(str(encoder))(prompt="what is two", response="it is four").score
        assert score == pytest.approx(plain_forward(encoder, "what is two", "it is four"), abs=1e-5)
        assert score != pytest.approx(plain_forward(encoder, "what is two it is four"), abs=1e-3)

    def test_so_does_a_response_alone_and_a_trainers_text(self, encoder: Path) -> None:
        model, expected = RewardModel(str(encoder)), plain_forward(encoder, "it is four")
        assert model(response="it is four").score == pytest.approx(expected, abs=1e-5)
        assert model.score([Sample(response="x", metadata={"query": "it is four"})])[0].score == pytest.approx(
            expected, abs=1e-5
        )

    def test_a_very_long_prompt_is_cut_in_one_pass(self, encoder: Path) -> None:
        model = RewardModel(str(encoder))
        output = model(
            prompt="what is " * 15_000, response="it is four"
        )  # half a minute, where each token looks at all
        assert output.metadata["truncated_tokens"] == 30_000 + 3 + 3 - 32
        assert output.score == model(prompt="what is " * 13, response="it is four").score

    def test_half_of_a_surrogate_pair_is_told(self, encoder: Path) -> None:
        assert "half of a surrogate pair" in reason(RewardModel(str(encoder))(prompt="a", response="\udc00"))

    def test_a_long_response_is_refused_or_loses_its_oldest_words_and_keeps_its_special_tokens(
        self, encoder: Path
    ) -> None:
        text = "two " * 100 + "a b c d e f g h " * 4
        assert reason(RewardModel(str(encoder))(response=text)).startswith("invalid_input: ")
        output = RewardModel(str(encoder), too_long="cut")(response=text)
        assert output.metadata == {"tokens": 32, "truncated_tokens": 102, "raw_score": output.score}
        kept = "a b c d e f g h " * 4
        assert output.score == pytest.approx(plain_forward(encoder, kept[4:]), abs=1e-5)

    def test_more_than_one_label_is_no_reward_model(self, tmp_path: Path) -> None:
        with pytest.raises(RewardLoadError, match="has 3 labels; a reward model has one"):
            RewardModel(str(make_encoder(tmp_path, labels=3))).load()


class TestDecoder:
    def test_a_chat_scores_as_its_template_in_the_plain_forward(self, decoder: Path) -> None:
        output = RewardModel(str(decoder))(prompt="what is two", response="it is four")
        text = "<s> what is two </s> it is four </s>"
        assert output.score == pytest.approx(plain_forward(decoder, text, add_special_tokens=False), abs=1e-5)
        assert output.metadata == {"tokens": 9, "raw_score": output.score}

    def test_the_last_token_counts_even_where_it_is_the_padding_token(self, decoder: Path) -> None:
        text = "<s> it is four </s> </s>"
        [output] = RewardModel(str(decoder)).score([Sample(response="it", metadata={"query": text})])
        assert output.score == pytest.approx(plain_forward(decoder, text), abs=1e-5)
        assert output.score != pytest.approx(plain_forward(decoder, text, pad=5), abs=1e-3)

    def test_a_score_does_not_depend_on_its_neighbours(self, decoder: Path) -> None:
        model = RewardModel(str(decoder))
        samples = [Sample(response=text) for text in ("a", "b c d e f g h " * 5, "it is", "four")]
        together = [output.score for output in model.score(samples)]
        assert together == pytest.approx([model.score([sample])[0].score for sample in samples], abs=1e-5)

    def test_max_length_cuts_the_oldest_tokens(self, decoder: Path) -> None:
        sample = Sample(response="x", metadata={"query": "a b c d e f"})
        [output] = RewardModel(str(decoder), max_length=2, probe=False).score([sample])
        assert output.metadata == {"tokens": 2, "truncated_tokens": 4, "raw_score": output.score}
        assert output.score == pytest.approx(plain_forward(decoder, "e f"), abs=1e-5)

    def test_sixteen_bits_give_about_the_same_score(self, decoder: Path) -> None:
        exact, rough = (
            RewardModel(str(decoder), dtype=dtype)(response="it is").score for dtype in ("float32", "bfloat16")
        )
        assert rough == pytest.approx(exact, rel=0.2, abs=0.2)
        assert rough != exact


class TestWhatBreaks:
    def test_a_head_without_trained_weights_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(RewardLoadError, match=r"no trained weights for score.weight: its scores would be random"):
            RewardModel(str(make_decoder(tmp_path, head=False))).load()

    @pytest.mark.parametrize("content", [None, {}, {"model_type": "no-such-model"}])
    def test_a_folder_without_a_checkpoint_is_refused(self, tmp_path: Path, content: Any) -> None:
        if content is not None:
            (tmp_path / "config.json").write_text(json.dumps(content))
        with pytest.raises(RewardLoadError, match="cannot be loaded"):
            RewardModel(str(tmp_path)).load()

    def test_a_sample_that_cannot_be_read_fails_alone(self, decoder: Path) -> None:
        picture = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "…"}}]}]
        chat = [*picture, {"role": "assistant", "content": "it is four"}]
        parts = [{"role": "assistant", "content": [{"type": "text", "text": "it is four"}]}]
        outputs = RewardModel(str(decoder)).score(
            [Sample(response="it"), Sample(chat), Sample(response="", metadata={"query": ""}), Sample(parts)]
        )
        assert [output.score is None for output in outputs] == [False, True, True, False]
        assert reason(outputs[1]) == "invalid_input: the reward model reads text only, found a part of type 'image_url'"
        assert reason(outputs[2]) == "invalid_input: the sample's text has no token to score"

    def test_weights_that_are_no_numbers_are_refused(self, decoder: Path, tmp_path: Path) -> None:
        from transformers import AutoModelForSequenceClassification

        shutil.copytree(decoder, tmp_path, dirs_exist_ok=True)
        model = AutoModelForSequenceClassification.from_pretrained(decoder)
        model.model.norm.weight.data.fill_(float("nan"))
        model.save_pretrained(tmp_path)
        with pytest.raises(RewardLoadError, match="numbers that are not finite"):
            RewardModel(str(tmp_path), probe=False).load()
        model.score.weight.data.fill_(float("nan"))
        model.save_pretrained(tmp_path)
        with pytest.raises(RewardLoadError, match=r"score\.weight is not all finite"):
            RewardModel(str(tmp_path)).load()

    def test_an_unknown_dtype_is_refused_at_once(self) -> None:
        with pytest.raises(ConfigError, match="dtype='fp8'"):
            RewardModel("anywhere", dtype="fp8")


class TestLoading:
    def test_the_probe_is_seen_while_it_runs_and_its_result_is_kept(
        self, decoder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said: list[str | None] = []
        note = RewardModel._note
        monkeypatch.setattr(RewardModel, "_note", lambda self, doing: said.append(doing) or note(self, doing))
        model = RewardModel(str(decoder))
        model.load()
        assert said == ["loading weights", "probe", "probe", "warming up"]
        assert "raw" in model.serving_condition.found["probe"]
        model.unload()
        unprobed = RewardModel(str(decoder), probe=False)
        unprobed.load()
        assert unprobed.serving_condition.found.keys() == {"load_s"}
        unprobed.unload()


class TestVersion:
    def test_is_that_of_the_weights_wherever_they_lie(self, decoder: Path, tmp_path: Path) -> None:
        copy = shutil.copytree(decoder, tmp_path / "copy")
        assert RewardModel(str(decoder)).version == RewardModel(str(copy)).version
        weights = copy / "model.safetensors"
        changed = bytearray(weights.read_bytes())
        changed[-1] ^= 1
        weights.write_bytes(changed)
        assert RewardModel(str(decoder)).version != RewardModel(str(copy)).version

    def test_differs_by_what_changes_scores(self, decoder: Path) -> None:
        versions = {
            RewardModel(str(decoder)).version,
            RewardModel(str(decoder), dtype="bfloat16").version,
            RewardModel(str(decoder), max_length=8).version,
            RewardModel("somewhere/else").version,
        }
        assert len(versions) == 4
        assert RewardModel(str(decoder), device="cuda").version == RewardModel(str(decoder)).version


class TestHowItRuns:
    def test_travels_without_its_weights_and_loads_them_again(self, decoder: Path) -> None:
        model = RewardModel(str(decoder))
        score = model(response="it").score
        blob = cloudpickle.dumps(model)
        assert len(blob) < 2000
        assert cloudpickle.loads(blob)(response="it").score == score

    async def test_scores_beside_the_loop_and_as_a_part(self, decoder: Path) -> None:
        composite = CompositeReward([(RewardModel(str(decoder)), 0.5), (LengthReward(1), 0.5)])
        assert composite.isolation == "thread"
        async with LocalClient({"composite": composite}) as client:
            first, second = await asyncio.gather(*(client.ascore([{"response": text}]) for text in ("it", "four")))
        assert first[0].metrics["reward_model"].score != second[0].metrics["reward_model"].score
        assert first[0].version == composite.version
