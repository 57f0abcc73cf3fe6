"""Overlays lie where their maps do, and a flat map looks flat."""

import io

import numpy as np
import pytest
from PIL import Image

from cmrjax.evals.overlays import Overlay, blend, chosen_frames, colour_limits, moving, sheet

NAN = float("nan")


def overlay(maps, *, annotated=(), frames=6):
    mask = np.zeros((frames, 16, 16), bool)
    mask[:, 4:12, 4:12] = True
    drawn = np.isin(np.arange(frames), annotated)
    return Overlay(
        title="study 00000000, SAX",
        clip=np.linspace(0.3, 0.7, frames, dtype=np.float32)[:, None, None] * np.ones((16, 16)),
        maps=maps,
        shares=dict.fromkeys(maps, 0.5 if annotated else NAN),
        area=0.25 if annotated else NAN,
        mask=mask,
        annotated=drawn,
    )


def corner(frames=6):
    """All of the map in the top right corner."""
    values = np.zeros((frames, 16, 16))
    values[:, :4, 12:] = 1 / (16 * frames)
    return values


FLAT = np.full((6, 16, 16), 1 / (6 * 256))


def test_colours_of_a_method_are_shared_and_reach_twice_the_uniform_map():
    maps = {("checkpoint", "a"): corner(), ("random", "a"): FLAT, ("random", "b"): FLAT}
    limits = colour_limits(overlay(maps))
    assert limits["a"] == pytest.approx(16)
    assert limits["b"] == 2


def test_nothing_of_a_map_leaves_the_frame_grey():
    grey = np.linspace(0, 1, 16).reshape(4, 4)
    np.testing.assert_allclose(blend(grey, np.zeros((4, 4)), 2.0), grey[..., None].repeat(3, -1))
    strong = blend(grey, np.full((4, 4), 2.0), 2.0)
    assert np.ptp(strong[..., 0]) > 0.1, "the cine shows through"


def test_annotated_frames_are_shown_where_there_are_some():
    maps = {("checkpoint", "a"): FLAT}
    assert chosen_frames(overlay(maps, annotated=(0, 3))) == [0, 3]
    assert chosen_frames(overlay(maps)) == [0, 1, 3, 4]
    assert chosen_frames(overlay(maps, frames=2)) == [0, 1]


def test_the_moving_overlay_is_coloured_where_the_map_is():
    content = moving(overlay({("checkpoint", "a"): corner(), ("random", "a"): FLAT}), "checkpoint")
    image = Image.open(io.BytesIO(content))
    assert getattr(image, "n_frames", 1) == 6
    assert image.size == (320, 178)  # the cine and one map, under a line of text
    image.seek(3)
    pixels = np.asarray(image.convert("RGB"), float)[18:]
    cine, mapped = pixels[:, :160], pixels[:, 160:]
    colourful = lambda part: np.ptp(part, axis=-1).mean()  # noqa: E731
    assert colourful(cine) < 8
    assert colourful(mapped[:30, 130:]) > 60, "top right"
    assert colourful(mapped[60:, :100]) < 8, "elsewhere"


def test_the_sheet_is_a_picture_with_a_column_a_map():
    one = {("checkpoint", "a"): corner()}
    two = one | {("random", "a"): FLAT}
    sizes = []
    for maps in (one, two):
        image = Image.open(io.BytesIO(sheet(overlay(maps, annotated=(0, 3)))))
        assert image.format == "PNG"
        sizes.append(image.size)
    assert sizes[1][0] > sizes[0][0] + 100
    assert sizes[1][1] == sizes[0][1]
