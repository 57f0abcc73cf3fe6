import dataclasses

import numpy as np
import pytest

from cmrjax.data.phantom.findings import truth
from cmrjax.data.phantom.geometry import KAPPA, lv_base
from cmrjax.data.phantom.measure import (
    lv_mass_g,
    lv_volume_ml,
    rv_volume_ml,
    segment_motion_loss,
    solve,
    truncated_ellipsoid_ml,
)
from cmrjax.data.phantom.render import LV, MYOCARDIUM, RV, label_mask


def plain(heart):
    """The heart without scar or septal bulge: its volume has a closed form."""
    return dataclasses.replace(heart, scar_severity=0.0, scar_thinning=0.0, septal_gain=0.0)


def test_end_diastolic_volume_is_the_truncated_ellipsoids():
    heart = plain(truth(0, 0).patient.heart)
    exact = truncated_ellipsoid_ml(heart.lv_radius, heart.lv_length, KAPPA)
    assert lv_volume_ml(heart, 0.0) == pytest.approx(exact, rel=2e-3)
    assert truncated_ellipsoid_ml(10.0, 20.0, 1.0) == pytest.approx(4 / 3 * np.pi)


@pytest.mark.parametrize("lvef", [0.2, 0.45, 0.65])
def test_solve_meets_its_targets(lvef):
    heart = plain(truth(0, 1).patient.heart)
    heart = solve(heart, lvef=lvef, rvedv_ml=170.0, rvef=0.5)
    reached = 1.0 - lv_volume_ml(heart, 1.0) / lv_volume_ml(heart, 0.0)
    assert reached == pytest.approx(lvef, abs=2e-3)
    assert rv_volume_ml(heart, 0.0) == pytest.approx(170.0, rel=5e-3)
    assert rv_volume_ml(heart, 1.0) == pytest.approx(85.0, rel=1e-2)


@pytest.mark.parametrize("index", range(6))
@pytest.mark.parametrize("c", [0.0, 1.0])
def test_drawn_volumes_are_the_measured_ones(index, c):
    heart = truth(3, index).patient.heart
    step = 1.5
    u = np.arange(-130, 60, step, dtype=np.float32)[None, :]
    v = np.arange(-80, 80, step, dtype=np.float32)[:, None]
    counts = np.zeros(4)
    low = -heart.lv_length - 25.0
    for w in np.arange(low, 10.0, step, dtype=np.float32):
        mask = label_mask(heart, (u, v, np.full((1, 1), w, np.float32)), np.float32(c))
        counts += np.bincount(mask.ravel(), minlength=4)
    ml = counts * step**3 / 1000.0
    assert ml[LV] == pytest.approx(lv_volume_ml(heart, c), rel=0.03)
    assert ml[RV] == pytest.approx(rv_volume_ml(heart, c), rel=0.05)
    if c == 0.0:
        assert ml[MYOCARDIUM] * 1.05 == pytest.approx(lv_mass_g(heart), rel=0.03)


def test_the_wall_keeps_its_volume_without_a_scar():
    heart = plain(truth(0, 2).patient.heart)
    u = np.arange(-60, 60, 1.5, dtype=np.float32)[None, :]
    v = u.T
    volumes = []
    for c in (0.0, 1.0):
        total = 0
        for w in np.arange(-heart.lv_length - 20, lv_base(heart, c), 1.5, dtype=np.float32):
            mask = label_mask(heart, (u, v, np.full((1, 1), w)), np.float32(c))
            total += int((mask == MYOCARDIUM).sum())
        volumes.append(total)
    assert volumes[1] == pytest.approx(volumes[0], rel=0.03)


def test_segments_of_a_scar_stand_still_and_others_move():
    heart = dataclasses.replace(
        truth(0, 0).patient.heart,
        scar_severity=1.0,
        scar_angle=1.75,
        scar_half_width=0.9,
        scar_low=0.1,
        scar_high=1.1,
    )
    loss = segment_motion_loss(heart)
    assert loss.shape == (16,)
    assert 2 <= (loss > 0.6).sum() <= 6
    assert (loss < 0.05).sum() >= 6
    assert segment_motion_loss(plain(heart)).max() == 0.0
