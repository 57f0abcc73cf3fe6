"""What the user decides when weights of one network become those of another."""

import dataclasses

from cmrjax.core.errors import UserError

CHOICES = {
    "inflate": ("", "central", "average"),
    "channels": ("", "sum", "mean", "red", "green", "blue"),
    "positions": ("error", "resample"),
    "pool": ("", "mean", "cls", "pooler"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """Every choice that the file cannot make; where one is needed and empty, loading says so.

    Args:
        frames: of the clips; 0 takes the source's own, 1 for an image network.
        size: rows and columns of the clips; 0 takes the source's own.
        tubelet_frames: frames of a token; 0 takes the source's own, 1 for an image network.
        inflate: how an image network's patches get frames: 'central' puts the kernel on the middle
            frame and zeros on the others, 'average' spreads it evenly (Carreira & Zisserman 2017).
        channels: what a grey value is to a network of colours. 'sum' is the same grey in each, what
            the network would say of the grey image; 'mean' divides that by their number; 'red',
            'green' and 'blue' take one and leave the others at their mean.
        positions: 'resample' positions to another grid of tokens, bicubic over space and linear
            over time, or 'error'.
        mean: the source's normalisation over values 0..1, a number a channel; empty takes what lies
            beside the weights (preprocessor_config.json, timm's config.json).
        std: the same, its divisor.
        heads: attention heads, where no config says it.
        max_tokens: longest sentence; fewer than the source's cut its positions, 0 keeps all.
        pool: 'mean', 'cls' or (BERT) 'pooler'; empty takes the source's own.
        allow_missing: patterns (fnmatch) of our parameters that may keep their initial values.
        allow_unexpected: patterns of the source's keys that are left out.
    """

    frames: int = 0
    size: int = 0
    tubelet_frames: int = 0
    inflate: str = ""
    channels: str = ""
    positions: str = "error"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    heads: int = 0
    max_tokens: int = 0
    pool: str = ""
    allow_missing: tuple[str, ...] = ()
    allow_unexpected: tuple[str, ...] = ()

    def __post_init__(self):
        for key, values in CHOICES.items():
            if getattr(self, key) not in values:
                known = ", ".join(value for value in values if value)
                raise UserError(
                    f"{key} = {getattr(self, key)!r}", where="import", fix=f"use {known}"
                )
        if len(self.mean) != len(self.std):
            raise UserError("mean and std differ in length", where="import", fix="give both")
        if any(value <= 0 for value in self.std):
            raise UserError(f"std = {self.std}", where="import", fix="give numbers above 0")
        for key in ("frames", "size", "tubelet_frames", "heads", "max_tokens"):
            if getattr(self, key) < 0:
                raise UserError(f"{key} = {getattr(self, key)}", where="import", fix="give 0 or 1+")
