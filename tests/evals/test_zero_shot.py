import json

import numpy as np
import pytest

from cmrjax.core.errors import UserError
from cmrjax.evals import metrics, zero_shot
from cmrjax.evals.embeddings import StudyEmbeddings

HOW = metrics.Resampling(split="test", step=1, n_bootstrap=100)
TEXT = {"yes": [1.0, 0, 0], "yes too": [0, 1.0, 0], "no": [0, 0, 1.0]}


def encode_text(sentences):
    return np.array([TEXT[s] for s in sentences])


def embeddings(labels, *, n=40, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 3)) * 0.3
    z[:, 0] += labels
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    ids = np.arange(n).astype(str)
    return StudyEmbeddings(z, z, ids, ids, {"x": labels.astype(float)}, [""] * n)


def test_score_by_hand():
    ensemble = zero_shot.Ensemble(("yes", "yes too"), ("no",))
    z = np.array([[0.6, 0.0, 0.8], [0.0, 1.0, 0.0]])
    np.testing.assert_allclose(zero_shot.scores(z, ensemble, encode_text), [0.3 - 0.8, 0.5])


def test_nothing_is_fitted_on_labels():
    """Flipped labels give the mirrored AUROC and the very same scores."""
    labels = np.arange(40) % 2
    ensemble = {"x": zero_shot.Ensemble(("yes",), ("no",))}
    values, scores = [], []
    for y in (labels, 1 - labels):
        e = embeddings(labels)
        e.labels["x"] = y.astype(float)
        result = zero_shot.evaluate({"checkpoint": e}, {"checkpoint": encode_text}, ensemble, HOW)
        values.append(next(r.value for r in result.rows if r.metric == "auroc"))
        scores.append(result.predictions[0].prediction)
    assert values[0] > 0.7
    assert values[1] == pytest.approx(1 - values[0])
    np.testing.assert_array_equal(*scores)


def test_rows_hold_the_untrained_and_the_trivial_beside():
    e = embeddings(np.arange(40) % 2)
    ensemble = {"x": zero_shot.Ensemble(("yes",), ("no",))}
    both = {"checkpoint": e, "random": e}
    result = zero_shot.evaluate(both, dict.fromkeys(both, encode_text), ensemble, HOW)
    rows = {(r.encoder, r.task, r.metric): r.value for r in result.rows}
    assert rows["trivial", "x", "auroc"] == rows["trivial", "macro", "auroc"] == 0.5
    assert rows["checkpoint-random", "macro", "auroc_difference"] == 0.0
    assert {r.metric for r in result.rows} == {"auroc", "auprc", "auroc_difference"}


@pytest.mark.parametrize("name", ["phantom", "acdc"])
def test_packaged_prompts_are_ensembles_without_doubles(name):
    prompts = zero_shot.load_prompts(name)
    for ensemble in prompts.values():
        assert len(ensemble.positive) >= 4
        assert len(ensemble.negative) >= 3
        assert not set(ensemble.positive) & set(ensemble.negative)
    if name == "phantom":
        assert list(prompts) == [
            "normal",
            "lv_dilation",
            "reduced_lvef",
            "asymmetric_septal_hypertrophy",
            "concentric_hypertrophy",
            "regional_akinesia",
            "rv_dilation",
            "rv_dysfunction",
            "la_dilation",
            "pericardial_effusion",
        ]


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{",
        "{}",
        '{"x": 1}',
        '{"x": {"positive": ["a"]}}',
        '{"x": {"positive": ["a"], "negative": []}}',
        '{"x": {"positive": [1], "negative": ["b"]}}',
    ],
)
def test_wrong_prompt_files_are_user_errors(tmp_path, content):
    path = tmp_path / "p.json"
    path.write_text(content)
    with pytest.raises(UserError):
        zero_shot.load_prompts(str(path))


def test_an_unknown_name_lists_the_known(tmp_path):
    with pytest.raises(UserError, match="acdc, phantom"):
        zero_shot.load_prompts("mnms")
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"x": {"positive": ["a"], "negative": ["b"]}}))
    assert list(zero_shot.load_prompts(str(path))) == ["x"]
