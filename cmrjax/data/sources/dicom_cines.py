"""From the images of a study to its cines: what every source of DICOM files shares."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np

from cmrjax.data.crop import SURE, Crop, crops
from cmrjax.data.dicom import Image, Rejected, read_images, read_stored, rescale
from cmrjax.data.geometry import Plane
from cmrjax.data.masks import Drawn
from cmrjax.data.series import Cine, cines_of
from cmrjax.data.study import RawCine, Settings

KEPT_BYTES = 256 << 20


def read_headers(paths: Iterable[str]) -> tuple[list[Image], Counter[str]]:
    """The images of files, and how many files were left out, by reason."""
    images, rejected = [], Counter()
    for path in paths:
        try:
            found = read_images(path)
        except Rejected as reason:
            rejected[f"file.{reason.reason}"] += 1
            continue
        if quarantine := found[0].shared.quarantine:
            rejected[f"file.{quarantine}"] += 1
        else:
            images += found
    return images, rejected


class Scans(Sequence[np.ndarray]):
    """The pixels of cines, float32 `[t, h, w]`, rescaled when they are asked for.

    What fits is kept as it was stored; of a study that is too large for that, the rest is read
    again each time. So a study of any size takes about as much memory.
    """

    def __init__(self) -> None:
        self.cines: list[Cine] = []
        self._kept: list[np.ndarray | None] = []
        self._left = KEPT_BYTES

    def add(self, cine: Cine) -> None:
        """Adds a cine.

        Raises:
            Rejected: its pixels cannot be read.
        """
        stored = read_stored(cine.images)
        self._left -= stored.nbytes
        self._kept.append(stored if self._left >= 0 else None)
        self.cines.append(cine)

    def __len__(self) -> int:
        return len(self.cines)

    def __getitem__(self, i: int) -> np.ndarray:  # type: ignore[override]  # nobody slices
        images, stored = self.cines[i].images, self._kept[i]
        return rescale(read_stored(images) if stored is None else stored, images)


class RawCines(Sequence[RawCine]):
    """Cines ready to be standardised, each made when it is asked for."""

    def __init__(self, scans: Scans, make: Sequence[Callable[..., RawCine]]):
        self._scans, self._make = scans, make

    def __len__(self) -> int:
        return len(self._make)

    def __getitem__(self, i: int) -> RawCine:  # type: ignore[override]
        return self._make[i](frames=self._scans[i])


def raw_cines(
    images: Iterable[Image],
    settings: Settings,
    *,
    drawn: Callable[[Cine], Drawn | None] | None = None,
) -> tuple[Sequence[RawCine], Counter[str]]:
    """The cines of one study, ready to be standardised.

    Args:
        images: headers of its images, in any order.
        settings: the dataset's.
        drawn: gives a cine its masks, in the order of its images.

    Returns:
        The cines, sorted by view, stack and slice, and how many positions were left out, by reason.
    """
    cines, left_out = cines_of(images)
    rejected = Counter({f"cine.{reason}": n for reason, n in left_out.items()})
    scans = Scans()
    for cine in cines:
        try:
            scans.add(cine)
        except Rejected as reason:
            rejected[f"cine.{reason.reason}"] += 1
    planes = [_plane(cine) for cine in scans.cines]
    found = crops([cine.view for cine in scans.cines], scans, planes)
    make = [
        _maker(cine, plane, crop, settings, drawn(cine) if drawn else None)
        for cine, plane, crop in zip(scans.cines, planes, found, strict=True)
    ]
    return RawCines(scans, make), rejected


def _plane(cine: Cine) -> Plane:
    first = cine.images[0]
    return Plane(
        np.array(first.position), np.array(first.shared.orientation), np.array(first.shared.spacing)
    )


def _maker(
    cine: Cine, plane: Plane, crop: Crop, settings: Settings, drawn: Drawn | None
) -> Callable[..., RawCine]:
    """Makes a cine of its frames."""
    return partial(
        RawCine,
        plane=plane,
        crop=crop,
        view=cine.view,
        slice_index=cine.slice_index,
        position_mm=cine.position_mm,
        gap_mm=cine.gap_mm,
        trigger_ms=np.array([image.trigger for image in cine.images]),
        series_id=settings.hasher.id("series", cine.images[0].shared.series_uid),
        drawn=drawn,
    )


class Stacks:
    """Counts cines for the data card, as they pass: to keep them would be to keep their pixels."""

    def __init__(self) -> None:
        self._slices: Counter[tuple] = Counter()
        self._unsure: Counter[tuple] = Counter()

    def add(self, cine: RawCine) -> None:
        """Counts one more cine."""
        spacing = tuple(round(float(v), 4) for v in cine.plane.spacing)
        count, *size = cine.frames.shape
        row = cine.view, count, spacing, round(cine.gap_mm, 3), tuple(size)
        self._slices[row] += 1
        self._unsure[row] += cine.crop.confidence < SURE

    def rows(self, images: Iterable[Image] = ()) -> list[dict[str, object]]:
        """A row for each view, spacing, gap and phase count of a study.

        Args:
            images: headers of the study, which name its scanner; some sources have none.
        """
        scanner = _scanner(images)
        return [
            {
                "view": view,
                "slices": n,
                "phases": phases,
                "spacing_mm": list(spacing),
                "gap_mm": gap,
                "size": list(size),
                "cropped_at_middle": self._unsure[row],
                **scanner,
            }
            for row, n in sorted(self._slices.items())
            for view, phases, spacing, gap, size in [row]
        ]


def _scanner(images: Iterable[Image]) -> dict[str, object]:
    """The scanner of a study, in words that say nothing of the site."""
    kinds = Counter((image.shared.vendor, image.shared.field_strength_t) for image in images)
    if not kinds:
        return {}
    vendor, field = min(kinds, key=lambda kind: (-kinds[kind], kind))
    return {"vendor": vendor, "field_strength_t": field}
