"""ONNX: in ONNX Runtime on the CPU, a graph gives what its tower gives, for any batch size."""

import sys

import pytest

from cmrjax.core.errors import UserError
from cmrjax.exporting.onnx import load_onnx, require_onnx, to_onnx
from cmrjax.exporting.towers import check, towers
from tests.exporting.models import FORMS, drawn

WHY = "the extra 'onnx' is not installed"


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_tower_runs_from_its_graph(form, caplog):
    pytest.importorskip("jax2onnx", reason=WHY)
    (tower,) = towers(drawn(FORMS[form]), scan=False)
    difference = check(tower, load_onnx(to_onnx(tower)), what=form)
    assert difference.relative <= 1e-4
    assert caplog.text == ""  # the converter's own warnings are kept quiet


def test_a_graph_says_what_goes_in_and_out():
    onnx = pytest.importorskip("onnx", reason=WHY)
    pytest.importorskip("jax2onnx", reason=WHY)
    (tower,) = towers(drawn(FORMS["joint"]), scan=False)
    graph = onnx.load_model_from_string(to_onnx(tower)).graph
    (given,) = graph.input
    sizes = [d.dim_param or d.dim_value for d in given.type.tensor_type.shape.dim]
    assert (given.name, sizes) == ("clips", ["b", 4, 8, 8])
    assert [o.name for o in graph.output] == ["z", "pooled"]


def test_without_the_extra_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    with pytest.raises(UserError, match=r"pip install 'cmrjax\[onnx\]'"):
        require_onnx()
