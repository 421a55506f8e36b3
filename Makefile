# Two commands on a fresh machine: `make demo` and `make test`. Everything else is for working on rayreward itself.
PYTHON ?= python3
BIN := .venv/bin
# Reward models, judges, and what is served of them: minutes of their own.
MODELS := tests/models tests/judges tests/calling \
    tests/serve/test_model_deployment.py tests/serve/test_judge_deployments.py tests/serve/test_group_rewards.py \
    tests/serve/test_slow_samples_served.py
# In this order: preflight's cluster has ended before the one that tests/serve keeps for all of its tests starts.
MEETS_RAY := tests/cli tests/client tests/jobs/preflight tests/router tests/serve tests/test_readme.py

.PHONY: install demo serve check lint types format test test-models test-attacks test-faults test-vllm test-runs test-verl test-ray260 bench bench-rewards soak clean

install: .venv/installed

.venv/installed: constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "rayreward needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv .venv
	# DeepSpeed builds no CUDA op here, and only its isolated build works beside torch.
	DS_BUILD_OPS=0 $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --use-pep517 -r constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: install                  ## serve rewards and train a tiny model against them; see runs/demo
	$(BIN)/rayreward demo

serve: install                 ## serve the rewards of deployments/ on port 8000
	$(BIN)/serve run deployments/

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: install
	$(BIN)/mypy

check: lint types              ## what CI checks before the tests

test: check                    ## the tests
	$(BIN)/pytest -m "not runs and not verl and not faults and not attacks and not vllm" $(MODELS:%=--ignore=%)

test-models: install           ## reward models, judges, and what is served of them
	$(BIN)/pytest -m "not vllm" $(MODELS)

test-attacks: install          ## programs that try for a point, a secret or a way out: both tiers, as root and as nobody
	$(BIN)/pytest tests/programs/test_attacks.py

test-faults: install           ## a service that is broken in every way we know, under load, and not a sample lost
	$(BIN)/pytest -m faults

test-vllm: install             ## vLLM's engine beside the plain forward, and as a judge; an engine's process a file
	$(BIN)/pytest tests/models/test_vllm_backend.py
	$(BIN)/pytest tests/judges/test_vllm.py
	$(BIN)/pytest tests/serve/test_vllm_deployment.py

test-runs: install             ## whole OpenRLHF trainings on this CPU, against rewards that work, fail and die
	$(BIN)/pytest -m runs

test-verl: install             ## verl's own reward code, in an environment of its own
	RAYREWARD_TEST_VERL=.verl $(BIN)/pytest -m verl

test-ray260: .ray260/installed ## what meets Ray, and needs neither torch nor a trainer, on Ray 2.60
	.ray260/bin/pytest -m "not openrlhf and not trl and not runs and not verl" $(MEETS_RAY)

.ray260/installed: constraints-ray260.txt pyproject.toml
	$(PYTHON) -m venv --clear .ray260
	.ray260/bin/pip install --quiet --disable-pip-version-check --no-deps -r constraints-ray260.txt
	.ray260/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

bench: install .reward-kit/installed   ## every benchmark, one after the other: half an hour; results in benchmarks/results
	$(BIN)/python benchmarks/http_door.py --out benchmarks/results/http_door.json \
	    --reward-kit-python .reward-kit/bin/python
	$(BIN)/python benchmarks/coalescing.py --out benchmarks/results/coalescing.json
	$(BIN)/python benchmarks/replicas.py --out benchmarks/results/replicas.json
	$(BIN)/python benchmarks/workers.py --out benchmarks/results/workers.json
	$(BIN)/python benchmarks/memory.py --out benchmarks/results/memory.json
	$(BIN)/python benchmarks/sandbox.py --out benchmarks/results/sandbox.json
	$(BIN)/python benchmarks/slow_samples.py --out benchmarks/results/slow_samples.json
	$(BIN)/python benchmarks/waiting.py --out benchmarks/results/waiting.json
	$(BIN)/python benchmarks/models.py --out benchmarks/results/models.json
	$(BIN)/python benchmarks/padding.py --out benchmarks/results/padding.json
	$(BIN)/python benchmarks/models_vllm.py --out benchmarks/results/models_vllm.json
	$(BIN)/python benchmarks/model_serving.py --rounds 3 --out benchmarks/results/model_serving.json

bench-rewards: install         ## the rewards on public data: make bench-rewards DATA=folder
	$(BIN)/python benchmarks/function_calling.py --data $(DATA) --out benchmarks/results/function_calling.json
	$(BIN)/python benchmarks/math_grading.py --data $(DATA) --out benchmarks/results/math_grading.json
	$(BIN)/python benchmarks/code_execution.py --data $(DATA) --out benchmarks/results/code_execution.json

.reward-kit/installed:         # a peer; its pins contradict ours, and what it needs without saying so is pinned here
	$(PYTHON) -m venv .reward-kit
	.reward-kit/bin/pip install --quiet --disable-pip-version-check \
	    reward-kit==0.4.1 mcp==1.13.1 pydantic==2.11.7 fastapi==0.116.1
	@touch $@

soak: install                  ## ten minutes of seeded faults under mixed load; JSON on stdout, fails where a sample was lost
	$(BIN)/python -m benchmarks.soak

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .verl .ray260 .reward-kit runs .pytest_cache .mypy_cache .ruff_cache *.egg-info
