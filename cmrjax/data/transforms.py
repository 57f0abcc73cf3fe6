"""From a stored cine to the clip that a model sees; training and inference share this code."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cmrjax.core.errors import UserError
from cmrjax.core.types import UNDRAWN
from cmrjax.data.contract import InputContract
from cmrjax.data.masks import HEART, class_bits

SAMPLINGS = ("uniform", "ed_es")


def frame_indices(
    cine: np.ndarray, *, frames: int, sampling: str, phase: float = 0.0
) -> np.ndarray:
    """Which frames of a cycle make the clip.

    Args:
        cine: as stored, `[t, h, w]`, one cardiac cycle from end-diastole on.
        frames: frames of the clip.
        sampling: `uniform` over the cycle, or `ed_es`: the first frame and the one that differs
            most from it, which is end-systole.
        phase: 0..1, where in each interval a uniform sample falls; training draws it.

    Returns:
        int `[frames]`.

    Raises:
        UserError: the cine has fewer frames than the clip, or the sampling is unknown.
    """
    stored = len(cine)
    if sampling not in SAMPLINGS:
        raise UserError(f"unknown clip sampling {sampling!r}", fix=f"use one of {SAMPLINGS}")
    if sampling == "ed_es":
        if frames != 2:
            raise UserError(f"ed_es sampling gives 2 frames, not {frames}", where="config.data")
        difference = np.abs(cine.astype(np.int32) - cine[0].astype(np.int32)).mean(axis=(1, 2))
        return np.array([0, int(difference.argmax())])
    if frames > stored:
        raise UserError(
            f"a clip of {frames} frames from cines of {stored}",
            where="config.data.clip_frames",
            fix="lower it, or prepare the dataset with more --frames",
        )
    phase = min(phase, 1 - 2**-20)  # closer to 1, the sum rounds up into the next interval
    return np.floor((np.arange(frames) + phase) * stored / frames).astype(np.int64)


def sample_clip(
    cine: np.ndarray, contract: InputContract, rng: np.random.Generator | None = None
) -> np.ndarray:
    """Cuts a clip from a cine, still as stored.

    Args:
        cine: as stored, `[t, h, w]`.
        contract: the model's own input.
        rng: draws the phase of the frames in training; None takes the fixed frames of inference.

    Returns:
        The cine's integers, `[clip_frames, crop_size, crop_size]`.
    """
    return _cut(cine, _frames(cine, contract, rng), contract.crop_size)


def _frames(
    cine: np.ndarray, contract: InputContract, rng: np.random.Generator | None
) -> np.ndarray:
    return frame_indices(
        cine,
        frames=contract.clip_frames,
        sampling=contract.clip_sampling,
        phase=0.0 if rng is None else float(rng.random()),
    )


def sample_clip_and_mask(
    record: Mapping[str, Any], contract: InputContract, rng: np.random.Generator | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """`sample_clip` with the masks of the same frames.

    Args:
        record: with `cine`, and with `mask` and `mask_classes` where the dataset has masks.
        contract: the model's own input.
        rng: as for `sample_clip`.

    Returns:
        The clip, and uint8 class numbers of its shape. `UNDRAWN` where nobody drew: in frames
        without a mask, and, where not all of the heart's classes were drawn, in the background.
    """
    frames = _frames(record["cine"], contract, rng)
    clip = _cut(record["cine"], frames, contract.crop_size)
    if "mask" not in record:
        return clip, np.full(clip.shape, UNDRAWN, np.uint8)
    mask = _cut(record["mask"], frames, contract.crop_size).copy()
    heart = class_bits(HEART)
    complete = record["mask_classes"][frames] & heart == heart
    nothing = record["mask_classes"][frames] == 0
    mask[nothing] = UNDRAWN
    mask[~complete[:, None, None] & (mask == 0)] = UNDRAWN
    return clip, mask


def _cut(cine: np.ndarray, frames: np.ndarray, size: int) -> np.ndarray:
    """Frames of `[t, h, w]`, cropped about their centre to `[len(frames), size, size]`."""
    margin = (cine.shape[-1] - size) // 2
    if margin < 0:
        raise UserError(
            f"a crop of {size} from frames of {cine.shape[-1]}", where="config.data.crop_size"
        )
    return cine[frames, margin : margin + size, margin : margin + size]


def prepare_clip(cine: np.ndarray, contract: InputContract) -> np.ndarray:
    """The clip of inference: fixed frames, central crop, values in 0..1.

    Args:
        cine: as stored, `[t, h, w]`.
        contract: the model's own input.

    Returns:
        float32 `[clip_frames, crop_size, crop_size]`.
    """
    return sample_clip(cine, contract).astype(np.float32) / np.iinfo(cine.dtype).max


def prepare_mask(
    record: Mapping[str, Any], contract: InputContract
) -> tuple[np.ndarray, np.ndarray]:
    """A record's mask as `prepare_clip` sees its cine.

    Args:
        record: with `cine`, and with `mask` and `mask_frames` where the dataset has masks.
        contract: the model's own input.

    Returns:
        uint8 `[clip_frames, crop_size, crop_size]` class numbers; bool `[clip_frames]`, frames that
        have a mask. Nothing at all where the record holds no mask.
    """
    cine = record["cine"]
    frames = frame_indices(cine, frames=contract.clip_frames, sampling=contract.clip_sampling)
    if "mask" not in record:
        clip = _cut(cine, frames, contract.crop_size)
        return np.zeros(clip.shape, np.uint8), np.zeros(len(frames), bool)
    return _cut(record["mask"], frames, contract.crop_size), record["mask_frames"][frames] > 0
