"""A peer: a reward model served as OpenRLHF's ``serve_rm`` does it, with a model that computes.

What its handler does is done here in the same order: the padding and the end-of-text token are stripped and one
end-of-text token is put back, texts are padded on the left to the longest and cut on the right, and the forward pass
runs in the async handler itself, so that requests of one query are computed one after the other.
``python … PORT MODEL MAX_LENGTH``.
"""

from __future__ import annotations

import sys

import torch
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from transformers import AutoModelForSequenceClassification, AutoTokenizer

PORT, MODEL, MAX_LENGTH = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])

tokenizer = AutoTokenizer.from_pretrained(MODEL, padding_side="left")
model = AutoModelForSequenceClassification.from_pretrained(MODEL, dtype=torch.float32).eval()
app = FastAPI()


def stripped(text: str) -> str:
    while text.startswith(tokenizer.pad_token):
        text = text[len(tokenizer.pad_token) :]
    while text.endswith((tokenizer.eos_token, tokenizer.pad_token)):
        text = text.removesuffix(tokenizer.eos_token).removesuffix(tokenizer.pad_token)
    return text


@torch.no_grad()
def forward(queries: list[str]) -> list[float]:
    texts = [stripped(query) + tokenizer.eos_token for query in queries]
    batch = tokenizer(
        texts, return_tensors="pt", add_special_tokens=False, max_length=MAX_LENGTH, padding=True, truncation=True
    )
    positions = (batch["attention_mask"].cumsum(-1) - 1).clamp(min=0)
    trunk = getattr(model, model.base_model_prefix)
    hidden = trunk(batch["input_ids"], attention_mask=batch["attention_mask"], position_ids=positions)
    scores: list[float] = model.score(hidden.last_hidden_state[:, -1])[:, 0].tolist()
    return scores


@app.get("/")
async def up() -> JSONResponse:
    return JSONResponse({})


@app.post("/get_reward")
async def get_reward(request: Request) -> JSONResponse:
    data = await request.json()
    rewards = forward(data["query"])
    return JSONResponse({"rewards": rewards, "scores": rewards, "extra_logs": {}})


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning", backlog=4096)
