"""What a config may say of DINO."""

import dataclasses

from cmrjax.core.errors import UserError
from cmrjax.objectives.distillation import CENTRINGS


@dataclasses.dataclass(frozen=True, kw_only=True)
class DinoConfig:
    """Crops, head, teacher and loss terms; the defaults are those of Caron et al. 2021.

    Args:
        prototypes: outputs of the head.
        hidden: width of the head's two hidden layers.
        bottleneck: width of the unit vector before the prototypes.
        global_crops: large crops of a clip, of the tower's own size; the teacher sees these alone.
        global_scale: their smallest and largest area, as a share of the image's.
        local_crops: small crops of a clip.
        local_scale: their area.
        local_size: their rows and columns.
        aspect: smallest and largest width over height of every crop.
        student_temperature: of the student's softmax.
        teacher_temperature: of the teacher's, at the start and after the warm-up.
        teacher_warmup: share of the run in which it rises, in a straight line.
        momentum: of the teacher's parameters, at the start and (along a cosine) at the end.
        centring: what keeps the teacher from one output for all: the running 'centre' of its
            logits is taken off, 'sinkhorn', or 'none'.
        centre_momentum: of that centre.
        freeze_last_layer: share of the run in which the prototypes stay as they are.
        ibot_weight: of the loss on hidden patches; 0 leaves it out.
        ibot_mask: smallest and largest share of the patches hidden in half of the global crops.
        koleo_weight: of the spread of the student's vectors (published: 0.1); 0 leaves it out.
    """

    prototypes: int = 65536
    hidden: int = 2048
    bottleneck: int = 256
    global_crops: int = 2
    global_scale: tuple[float, float] = (0.4, 1.0)
    local_crops: int = 8
    local_scale: tuple[float, float] = (0.05, 0.4)
    local_size: int = 96
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    student_temperature: float = 0.1
    teacher_temperature: tuple[float, float] = (0.04, 0.07)
    teacher_warmup: float = 0.1
    momentum: tuple[float, float] = (0.996, 1.0)
    centring: str = "centre"
    centre_momentum: float = 0.9
    freeze_last_layer: float = 0.01
    ibot_weight: float = 0.0
    ibot_mask: tuple[float, float] = (0.1, 0.5)
    koleo_weight: float = 0.0

    def __post_init__(self):
        for key in ("global_scale", "local_scale", "aspect", "ibot_mask"):
            pair = getattr(self, key)
            low, high = pair if len(pair) == 2 else (0.0, 0.0)
            if not 0 < low <= high or (high > 1 and key != "aspect"):
                refuse(f"{key} = {pair}", "give (smallest, largest), shares from 0 to 1")
        for key in ("teacher_temperature", "momentum"):
            if len(getattr(self, key)) != 2:
                refuse(f"{key} = {getattr(self, key)}", "give (at the start, at the end)")
        if self.centring not in CENTRINGS:
            refuse(f"centring = {self.centring!r}", f"use one of {CENTRINGS}")
        if self.global_crops < 1 or self.global_crops + self.local_crops < 2:
            refuse(
                f"{self.global_crops} global and {self.local_crops} local crops",
                "give a global crop and another one, so that there is a pair",
            )
        if min(*self.teacher_temperature, self.student_temperature) <= 0:
            refuse("a temperature that is not positive", "give more than 0")
        if self.prototypes < 2:
            refuse(f"{self.prototypes} prototypes", "give 2 or more")


def refuse(what: str, fix: str) -> None:
    """Stops a run whose objective cannot be built.

    Raises:
        UserError: always.
    """
    raise UserError(what, where="config.objective", fix=fix)
