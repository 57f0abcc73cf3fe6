"""Tables of positions on another grid of tokens."""

import numpy as np

from cmrjax.core.errors import UserError

Grid = tuple[int, int, int]

# The cubic's parameter: torch takes -0.75 as it stands and -0.5 where it antialiases (as Pillow).
_CUBIC, _CUBIC_ANTIALIASED = -0.75, -0.5


def resample_positions(
    table: np.ndarray,
    from_grid: Grid,
    to_grid: Grid,
    *,
    antialias: bool = False,
) -> np.ndarray:
    """Interpolates a vector a token: bicubic over rows and columns, linear over time.

    Over space these are the numbers of `torch.nn.functional.interpolate(mode='bicubic')`, half a
    pixel off the corner, as DINO, DINOv2, HF's ViT and (antialiased) timm resize their positions.

    Args:
        table: `[t * h * w, d]`.
        from_grid: its times, rows and columns.
        to_grid: those wanted.
        antialias: widen the cubic where the grid shrinks.

    Returns:
        float32 `[t * h * w, d]` of `to_grid`; the table itself where the grids are equal.
    """
    if from_grid == to_grid:
        return table
    x = table.reshape(*from_grid, -1).astype(np.float64)
    kinds = ("linear", "cubic", "cubic")
    for axis, (a, b, kind) in enumerate(zip(from_grid, to_grid, kinds, strict=True)):
        if a == b:
            continue
        if kind == "linear":
            weights = linear_weights(a, b)
        else:
            weights = antialiased_weights(a, b) if antialias else cubic_weights(a, b)
        x = np.moveaxis(np.tensordot(weights, x, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(x.reshape(-1, table.shape[-1]), np.float32)


def require_grid(from_grid: Grid, to_grid: Grid, positions: str, *, where: str) -> None:
    """Stops where positions would have to be resampled and nobody asked for it.

    Raises:
        UserError: names both grids.
    """
    if from_grid != to_grid and positions != "resample":
        raise UserError(
            f"positions are for {_grid(from_grid)} tokens, the model has {_grid(to_grid)}",
            where=where,
            fix="choose positions: resample, or the frames and size of the source",
        )


def _grid(grid: Grid) -> str:
    return " x ".join(map(str, grid))


def _centres(n: int, m: int) -> np.ndarray:
    """Where the m new samples lie among the n old ones, whose centres are 0, 1, ..., n - 1."""
    return (np.arange(m) + 0.5) * (n / m) - 0.5


def linear_weights(n: int, m: int) -> np.ndarray:
    """`[m, n]` of linear interpolation; rows sum to 1, the ends are held."""
    at = np.clip(_centres(n, m), 0, n - 1)
    left = np.minimum(np.floor(at).astype(int), n - 1)
    weights = np.zeros((m, n))
    np.add.at(weights, (np.arange(m), left), 1 - (at - left))
    np.add.at(weights, (np.arange(m), np.minimum(left + 1, n - 1)), at - left)
    return weights


def cubic_weights(n: int, m: int) -> np.ndarray:
    """`[m, n]` of cubic convolution over four neighbours; rows sum to 1, the ends are held."""
    at = _centres(n, m)
    first = np.floor(at).astype(int) - 1
    weights = np.zeros((m, n))
    for step in range(4):
        share = _cubic(at - (first + step), _CUBIC)
        np.add.at(weights, (np.arange(m), np.clip(first + step, 0, n - 1)), share)
    return weights


def antialiased_weights(n: int, m: int) -> np.ndarray:
    """`[m, n]` of the cubic widened by the reduction, cut at the ends and renormalised."""
    scale = max(n / m, 1.0)
    centre, support = _centres(n, m) + 0.5, 2 * scale
    low = np.maximum(np.floor(centre - support + 0.5), 0)
    high = np.minimum(np.floor(centre + support + 0.5), n)
    index = np.arange(n)
    weights = _cubic((index[None] + 0.5 - centre[:, None]) / scale, _CUBIC_ANTIALIASED)
    weights *= (index[None] >= low[:, None]) & (index[None] < high[:, None])
    return weights / weights.sum(axis=1, keepdims=True)


def _cubic(x: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic convolution kernel (1981)."""
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
