"""Three vendors' habits: names of series, how images are spread over series and numbered.

Series names are real ones, from public lists of SeriesDescription strings. A habit is drawn with
the scanner and never with the patient.
"""

from dataclasses import dataclass

import numpy as np

from cmrjax.data.phantom.render import Cine, Study


@dataclass(frozen=True)
class Habit:
    """What a vendor writes the same in every study; ``names`` maps a view to its series names.

    ``one_series_per_slice`` gives each short-axis slice a series of its own; ``phase_major``
    numbers all slices of a phase before the next phase; ``trigger_delay`` is added to every
    TriggerTime.
    """

    manufacturer: str
    model: str
    software: str
    study_description: str
    image_type: tuple[str, ...]
    scanning_sequence: str
    sequence_variant: str
    scan_options: str
    repetition_time: str
    echo_time: str
    flip_angle: str
    one_series_per_slice: bool
    phase_major: bool
    trigger_delay: float
    names: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Series:
    """A series to write: ``images`` are (cine, frame) in the order of their InstanceNumber."""

    number: int
    kind: str
    description: str
    protocol: str
    images: tuple[tuple[Cine, int], ...]


HABITS = {
    "siemens": Habit(
        manufacturer="SIEMENS",
        model="Aera",
        software="syngo MR E11",
        study_description="Heart^Standard",
        image_type=("ORIGINAL", "PRIMARY", "M", "RETRO", "NORM", "DIS2D"),
        scanning_sequence="GR",
        sequence_variant="SK",
        scan_options="RG",
        repetition_time="38.5",
        echo_time="1.22",
        flip_angle="60",
        one_series_per_slice=True,
        phase_major=False,
        trigger_delay=0.0,
        names={
            "sax": ("CINE_segmented_SAX_b{n}", "cine_tf2d_sax_{n}"),
            "2ch": ("CINE_segmented_LAX_2Ch", "2_Chamber"),
            "3ch": ("CINE_segmented_LAX_3Ch",),
            "4ch": ("CINE_segmented_LAX_4Ch",),
            "scout": ("localizer", "Coro_Scout"),
            "late": ("PSIR_SAX_late",),
        },
    ),
    "ge": Habit(
        manufacturer="GE MEDICAL SYSTEMS",
        model="SIGNA HDx",
        software="14",
        study_description="CARDIAC",
        image_type=("ORIGINAL", "PRIMARY", "OTHER"),
        scanning_sequence="GR",
        sequence_variant="SS",
        scan_options="FAST_GEMS",
        repetition_time="3.35",
        echo_time="1.53",
        flip_angle="45",
        one_series_per_slice=False,
        phase_major=False,
        trigger_delay=9.0,
        names={
            "sax": ("SAX_FIESTA_BH", "SAX_FIESTA_ASSET_BH", "SAX_FIESTA_BH_Asset"),
            "2ch": ("LV2CH_FIESTA", "2CH_FIESTA_CINE"),
            "3ch": ("3CH_FIESTA_BH",),
            "4ch": ("4CH_FIESTA_BH", "4CH_FIESTA_BH_Asset"),
            "scout": ("3-pl_Loc_Fiesta", "3PL_LOC_FIESTA_BH"),
            "late": ("SAX_IrP-FGRE_TI=240", "SAX_DELAY_TI=260_BH"),
        },
    ),
    "philips": Habit(
        manufacturer="Philips Medical Systems",
        model="Achieva",
        software="3.2.3",
        study_description="MRI Cardiac",
        image_type=("ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"),
        scanning_sequence="GR",
        sequence_variant="SS",
        scan_options="CG",
        repetition_time="2.9",
        echo_time="1.45",
        flip_angle="60",
        one_series_per_slice=False,
        phase_major=True,
        trigger_delay=0.0,
        names={
            "sax": ("bFFE_BH_CINE_SA", "CINE_SA_WHOLE_HEART", "CINE_SA"),
            "2ch": ("CINE_2CH",),
            "3ch": ("CINE_3ch_3_SLICES",),
            "4ch": ("CINE_4CH", "4CH_CINE_SENSE"),
            "scout": ("SURVEY_BH", "3_PLANE_LOC"),
            "late": ("PSIR_SA_late",),
        },
    ),
}


def arrange(study: Study, habit: Habit, rng: np.random.Generator) -> list[Series]:
    """Spreads a study's images over series as the vendor would.

    Args:
        study: rendered images.
        habit: the vendor's.
        rng: picks among the vendor's series names.

    Returns:
        The series in the order of their numbers; views come in the study's order.
    """
    names = {view: str(rng.choice(choices)) for view, choices in habit.names.items()}
    stack = [c for c in study.cines if c.plane.view == "sax"]
    groups: list[tuple[str, str, list[Cine]]] = [("scout", names["scout"], list(study.scouts))]
    for cine in study.cines:
        name = names[cine.plane.view].format(n=cine.plane.slice_index + 1)
        if cine.plane.view != "sax" or habit.one_series_per_slice:
            groups.append(("cine", name, [cine]))
        elif cine is stack[0]:
            groups.append(("cine", name, stack))
    if study.late:
        groups.append(("late", names["late"], list(study.late)))
    start = int(rng.integers(1, 5))
    return [
        Series(
            start + k if habit.one_series_per_slice else (start + k) * 100, kind, name, name, images
        )
        for k, (kind, name, cines) in enumerate(groups)
        for images in [_numbered(cines, habit)]
    ]


def _numbered(cines: list[Cine], habit: Habit) -> tuple[tuple[Cine, int], ...]:
    pairs = [(cine, frame) for cine in cines for frame in range(len(cine.phase))]
    if habit.phase_major:
        pairs.sort(key=lambda pair: pair[1])
    return tuple(pairs)
