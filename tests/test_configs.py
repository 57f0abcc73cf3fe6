"""Every config of configs/ resolves to its golden text and is one that its job accepts."""

import json

import pytest

from cmrjax.assembly import make_objective
from cmrjax.core.config import load_config
from cmrjax.core.sections import to_dataclass
from cmrjax.data.contract import InputContract
from cmrjax.evals.config import EvalConfig
from cmrjax.experiment import run_config
from cmrjax.objectives.contrastive import Contrastive
from tests.refresh_goldens import COMMAND, CONFIGS, GOLDEN, ROOT, resolved


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_is_its_golden_text(name):
    path = GOLDEN / f"{name}.json"
    golden = path.read_text() if path.is_file() else ""
    assert resolved(CONFIGS[name]) == golden, f"if the change is meant: {COMMAND}"


def test_every_config_has_a_golden_and_every_golden_a_config():
    files = {path.name for path in (ROOT / "configs").glob("*.py")}
    assert files == {spec.split(":")[0] for spec in CONFIGS.values()}
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(CONFIGS)


@pytest.mark.parametrize("name", [name for name in CONFIGS if not name.startswith("eval")])
def test_a_training_config_builds_its_objective(name):
    # Through JSON, as a workdir's config.json is read back.
    run = run_config(json.loads(resolved(CONFIGS[name])))
    data = run.data_config()
    contract = InputContract(
        clip_frames=data.clip_frames,
        clip_sampling=data.clip_sampling,
        crop_size=data.crop_size or 64,
        normalise="unit",
        report_sections=data.report_sections,
        tokenizer="wordpiece" if run.objective_name == "contrastive" else "none",
        max_tokens=data.max_tokens,
    )
    objective = make_objective(run, contract, vocabulary=100, source=None)
    assert isinstance(objective, Contrastive) == (run.objective_name == "contrastive")
    assert hasattr(objective.abstract(), "video")
    assert run.optim_config().learning_rate > 0


@pytest.mark.parametrize("name", [name for name in CONFIGS if name.startswith("eval")])
def test_an_evaluation_config_is_one_that_the_job_takes(name):
    config = to_dataclass(EvalConfig, load_config(str(ROOT / "configs" / CONFIGS[name])), where="")
    assert config.name == config.evaluator
