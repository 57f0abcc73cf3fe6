"""StableHLO: deserialised and run, a program gives what its tower gives, for any batch size."""

import pytest
from jax import export

from cmrjax.exporting.stablehlo import PLATFORMS, load_stablehlo, to_stablehlo
from cmrjax.exporting.towers import check, towers
from tests.exporting.models import FORMS, drawn


@pytest.mark.parametrize("form", ["joint", "bert"])
def test_a_program_gives_what_its_tower_gives(form):
    (tower,) = towers(drawn(FORMS[form]))
    difference = check(tower, load_stablehlo(to_stablehlo(tower)), what=form)
    assert difference.relative <= 1e-4


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_tower_is_a_program_that_leaves_the_batch_open(form):
    (tower,) = towers(drawn(FORMS[form]))
    program = export.deserialize(bytearray(to_stablehlo(tower)))
    (given,) = program.in_avals
    assert str(given.shape).startswith("(b, ")
    assert given.shape[1:] == tower.shape
    assert program.platforms == PLATFORMS
    assert "stablehlo" in program.mlir_module()
