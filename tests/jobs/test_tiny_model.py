import json
from pathlib import Path

import pytest

from rayreward.jobs.preflight.prompts import check_prompts
from rayreward.jobs.tiny_model import CHARACTERS, TURN_END, build_tiny_model, write_prompts
from tests.jobs.conftest import build_spec

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch warns of itself while it is imported


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    assert 90_000 < build_tiny_model(path, seed=1) < 100_000
    return path


def test_the_same_seed_gives_the_same_weights(folder: Path, tmp_path: Path) -> None:
    build_tiny_model(tmp_path / "same", seed=1)
    build_tiny_model(tmp_path / "other", seed=2)

    weights = (folder / "model.safetensors").read_bytes()
    assert (tmp_path / "same" / "model.safetensors").read_bytes() == weights
    assert (tmp_path / "other" / "model.safetensors").read_bytes() != weights


def test_a_chat_survives_the_tokenizer_one_character_a_token(folder: Path) -> None:
    # As vLLM and OpenRLHF load it: by the model's type, not by the class that wrote it.
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

    chat = [{"role": "user", "content": "12 + 4 = ?"}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]

    assert text == "<|im_start|>user\n12 + 4 = ?<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(tokens) == text
    assert len(tokenizer(CHARACTERS, add_special_tokens=False)["input_ids"]) == len(CHARACTERS)
    assert tokenizer.eos_token == TURN_END


def test_the_model_answers_with_text(folder: Path) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

    tokens = model.generate(**tokenizer("1 + 1 = ?", return_tensors="pt"), max_new_tokens=4, do_sample=False)

    assert tokens.shape[1] <= len("1 + 1 = ?") + 4


def test_the_prompts_are_what_a_job_s_preflight_asks_for(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "prompts.jsonl"
    write_prompts(path, count=5, seed=3)

    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == 5
    for row in rows:
        a, b = row["input"].removesuffix(" = ?").split(" + ")
        assert int(a) + int(b) == int(row["label"])
    assert list(check_prompts(build_spec(data={"prompts": str(path), "label_key": "label"}))) == []


def test_the_same_seed_gives_the_same_prompts(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_prompts(tmp_path / name, count=20, seed=seed)

    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text() != (tmp_path / "c").read_text()
