import numpy as np
import pytest

from cmrjax.data.crop import SURE, Crop, crops, motion_centre, shared
from cmrjax.data.geometry import Plane
from tests.data.builders import AXIAL, beating

SPACING = np.array([1.5, 1.5])
SAGITTAL = (0, 1, 0, 0, 0, -1)


def plane(origin=(0.0, 0.0, 0.0), orientation=AXIAL) -> Plane:
    return Plane(np.array(origin), np.array(orientation, float), SPACING)


def noise(seed: int = 0, size: int = 100, phases: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).normal(200, 10, (phases, size, size)).astype(np.float32)


@pytest.mark.parametrize("centre", [(40.0, 40.0), (30.0, 52.0)])
def test_centre_follows_the_motion(centre):
    frames = beating(12, 80, centre=centre).astype(np.float32)
    frames[:, :6] += 3000  # a bright chest wall that does not move
    found = motion_centre(frames, SPACING)
    np.testing.assert_allclose(found.centre, centre, atol=1.5)
    assert found.confidence > 0.9


def test_without_motion_the_centre_is_the_middle():
    found = motion_centre(np.ones((8, 40, 50), np.float32), np.array([1.0, 1.0]))
    assert found.centre.tolist() == [19.5, 24.5]
    assert found.confidence == 0


@pytest.mark.parametrize("size", [80, 256])
def test_noise_is_no_heart(size):
    assert motion_centre(noise(size=size), np.array([2.0, 2.0])).confidence < SURE


def test_an_image_no_larger_than_a_heart_is_all_heart():
    frames = beating(8, 32).astype(np.float32)
    assert motion_centre(frames, np.array([1.0, 1.0])).confidence == 1


def test_a_stack_shares_the_median_of_its_sure_slices():
    planes = [plane((0.0, 0.0, 8.0 * z)) for z in range(4)]
    own = [Crop(np.array([r, 50.0]), c) for r, c in ((40, 0.8), (44, 0.6), (42, 0.9), (90, 0.1))]
    found = shared(own, planes)
    assert {tuple(c.centre) for c in found} == {(42.0, 50.0)}
    assert {c.confidence for c in found} == {0.8}
    unsure = [own[3]] * 2
    assert shared(unsure, planes[:2]) == unsure


def test_the_slices_of_a_stack_share_a_point_of_the_patient():
    """Each slice may start somewhere else: here the second one 15 mm further back."""
    frames = [beating(12, 80, centre=c).astype(np.float32) for c in ((40.0, 40.0), (30.0, 40.0))]
    planes = [plane(), plane((0.0, 15.0, 8.0))]
    a, b = crops(["sax", "sax"], frames, planes)
    np.testing.assert_allclose(a.centre - b.centre, [10, 0], atol=1e-6)
    own = crops(["4ch", "2ch"], frames, planes)
    np.testing.assert_allclose(own[1].centre, [30, 40], atol=1)


def test_a_cine_without_a_heart_takes_the_stacks_point_or_its_own_middle():
    heart = np.array([30.0, 52.0])
    frames = [beating(12, 80, centre=tuple(heart)).astype(np.float32)] * 2
    stack = [plane(), plane((0.0, 0.0, 8.0))]
    # A sagittal plane: columns run to the back, rows to the feet.
    sagittal = plane((60.0, 0.0, 68.0), SAGITTAL)
    elsewhere = plane((60.0, 500.0, 68.0), SAGITTAL)
    views = ["2ch", "sax", "sax", "3ch"]
    found = crops(views, [noise(), *frames, noise(1)], [sagittal, *stack, elsewhere])
    place = stack[1].to_patient(found[2].centre)
    np.testing.assert_allclose(place, [52 * 1.5, 30 * 1.5, 8], atol=2)
    np.testing.assert_allclose(sagittal.from_patient(place), found[0].centre)
    assert found[0].confidence == found[1].confidence > SURE
    assert found[3].centre.tolist() == [49.5, 49.5]
    assert found[3].confidence == 0
    alone = crops(["sax", "4ch"], [noise(), noise(1)], [plane(), plane()])
    assert [c.confidence for c in alone] == [0, 0]
    assert [c.centre.tolist() for c in alone] == [[49.5, 49.5]] * 2
