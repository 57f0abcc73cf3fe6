# The commands of the README. Everything runs in .venv, made from the hash-locked requirements.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-slow lint acceptance test-tfds test-beam clean

.venv: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch .venv

demo: .venv
	$(BIN)/cmrjax demo --workdir runs/demo

test: .venv
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow"

# What takes minutes and whose parts the other tests hold already.
test-slow: .venv
	$(BIN)/pytest -n 2 --dist worksteal -m slow

lint: .venv
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

acceptance: .venv
	$(BIN)/python -m tests.acceptance --workdir runs/acceptance

# TensorFlow reads every record that prepare wrote; its environment is apart, since nothing else
# here needs TensorFlow.
.venv-tfds: requirements-tfds.txt
	$(PYTHON) -m venv .venv-tfds
	.venv-tfds/bin/python -m pip install --quiet --require-hashes --requirement requirements-tfds.txt
	@touch .venv-tfds

test-tfds: .venv .venv-tfds
	rm -rf runs/tfds && $(BIN)/cmrjax prepare --source phantom --patients 12 --output runs/tfds
	.venv-tfds/bin/python -m tests.tfds_tf.check_tfds runs/tfds

# `prepare --runner beam` under Beam itself; its environment is apart, since Beam holds back what
# the others share. The lock: uv pip compile pyproject.toml --extra beam --extra test --universal
# --generate-hashes --python-version 3.11.
.venv-beam: requirements-beam.txt pyproject.toml
	$(PYTHON) -m venv .venv-beam
	.venv-beam/bin/python -m pip install --quiet --require-hashes --requirement requirements-beam.txt
	.venv-beam/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch .venv-beam

test-beam: .venv-beam
	.venv-beam/bin/pytest tests/beam_engine

clean:
	rm -rf .venv .venv-tfds .venv-beam runs
