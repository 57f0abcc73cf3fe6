import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmrjax.core.errors import UserError
from cmrjax.evals.predictions import Predictions, pool_predictions, read_predictions, to_csv

HEADER = "evaluator,encoder,patient_id,study_id,task,target,prediction\n"


def predictions(task="lvef", kind="regression", *, target, prediction, prefix="s", **changes):
    n = len(target)
    fields = {
        "evaluator": "linear_probe",
        "encoder": "checkpoint",
        "patient_id": np.array([f"p{prefix}{i}" for i in range(n)]),
        "study_id": np.array([f"{prefix}{i}" for i in range(n)]),
    }
    numbers = {"target": np.array(target, float), "prediction": np.array(prediction, float)}
    return Predictions(task=task, kind=kind, **(fields | numbers | changes))


def test_a_file_gives_back_what_was_written(tmp_path):
    written = [
        predictions(target=[50.1, 1 / 3], prediction=[49.0, 0.1]),
        predictions("mi", "probability", target=[0, 1], prediction=[0.2, 0.9]),
        predictions("mi", "binary", target=[0, 1], prediction=[0.2, 0.9], evaluator="zero_shot"),
        predictions("group", "multiclass", target=[2, 0], prediction=[1, 0]),
        predictions("group:DCM", "probability", target=[0, 1], prediction=[0.2, 0.9]),
        predictions("report_to_study", "rank", target=[1, 1], prediction=[1, 7]),
    ]
    path = tmp_path / "predictions.csv"
    path.write_bytes(to_csv(written))
    read = read_predictions(path)
    assert [(p.task, p.kind) for p in read] == [(p.task, p.kind) for p in written]
    for a, b in zip(read, written, strict=True):
        np.testing.assert_array_equal(a.target, b.target)
        np.testing.assert_array_equal(a.prediction, b.prediction)
        assert list(a.study_id) == list(b.study_id)


def test_evaluator_and_encoder_may_be_left_out_and_unknown_targets_are_dropped(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("patient_id,study_id,task,target,prediction\na,1,x,1,.5\nb,2,x,,.5\n")
    (read,) = read_predictions(path)
    assert (read.encoder, len(read.target)) == ("model", 1)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "no column patient_id"),
        ("patient_id,study_id,task,target\n", "no column prediction"),
        (HEADER, "no predictions"),
        (HEADER + "z,c,p,s,t,1,abc\n", "line 2: prediction is not a number"),
        (HEADER + "z,c,p,s,t,inf,1\n", "line 2: target is infinite"),
        (HEADER + "z,c,p,s,t,1,\n", "line 2: the prediction is missing"),
        (HEADER + "z,c,p,s,t,1,1\nz,c,p,s,t,1,1\n", "line 3: a study occurs twice"),
        (HEADER + "z,c,p,s,t,1\n", "line 2: has another number of fields"),
        (HEADER + "z,c,p,s,t,1,1,1\n", "line 2: has another number of fields"),
        (HEADER + "z,c,p,,t,1,1\n", "line 2: study_id is empty"),
        (HEADER + 'z,c,"p,s,t,1,1\n', "is not a CSV file"),
    ],
)
def test_a_wrong_file_is_one_line_that_says_where(tmp_path, content, says):
    path = tmp_path / "p.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=says) as raised:
        read_predictions(path)
    assert "\n" not in str(raised.value)


def test_missing_file_folder_and_binary_are_user_errors(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(UserError):
            read_predictions(path)
    binary = tmp_path / "b.csv"
    binary.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(UserError, match="cannot be read as text"):
        read_predictions(binary)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda t: (HEADER + t).encode()))
def test_any_bytes_are_predictions_or_a_user_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz") / "p.csv"
    path.write_bytes(content)
    with contextlib.suppress(UserError):
        read_predictions(path)


def test_folds_are_pooled_in_order(tmp_path):
    paths = []
    for fold in range(3):
        path = tmp_path / f"{fold}.csv"
        path.write_bytes(to_csv([predictions(target=[fold, 1], prediction=[0, 1], prefix=fold)]))
        paths.append(path)
    (pooled,) = pool_predictions(paths)
    assert pooled.kind == "regression"  # although folds 0 and 1 alone look binary
    assert list(pooled.target) == [0, 1, 1, 1, 2, 1]
    assert pooled.stratum is not None
    assert list(pooled.stratum) == [0, 0, 1, 1, 2, 2]
    with pytest.raises(UserError, match="two folds"):
        pool_predictions([paths[0], paths[0]])
    paths[1].write_bytes(to_csv([predictions("other", target=[2], prediction=[2], prefix="x")]))
    with pytest.raises(UserError, match="has no predictions of"):
        pool_predictions(paths)
