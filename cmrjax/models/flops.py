"""Floating-point operations of a forward pass, from the shapes alone.

XLA's own count takes the body of a scan once, so a scanned trunk would look `depth` times cheaper.
Only products of matrices (and the convolutions that stand for them) count, a multiplication and an
addition as two; norms, activations and softmax are under 2 % of a published ViT.
"""

import math

from cmrjax.models.multiscale import POOL_KERNEL, MultiscaleBlockConfig, pooled
from cmrjax.models.mvit import PATCH_KERNEL, MViTConfig
from cmrjax.models.text_encoder import TextEncoderConfig
from cmrjax.models.video import VideoConfig
from cmrjax.models.video_vit import VideoViTConfig

# A step's backward pass takes two products for each of the forward pass.
TRAINING_FACTOR = 3


def video_flops(config: VideoConfig) -> int:
    """Operations of one clip's forward pass.

    Args:
        config: the video tower.
    """
    if isinstance(config, MViTConfig):
        return _mvit(config)
    return _vit(config)


def text_flops(config: TextEncoderConfig) -> int:
    """Operations of one sequence of `max_tokens` tokens."""
    n, d = config.max_tokens, config.width
    return config.depth * (_linear(n, d, 12 * d) + _attention(n, n, d))


def _linear(rows: int, features_in: int, features_out: int) -> int:
    return 2 * rows * features_in * features_out


def _attention(queries: int, keys: int, width: int) -> int:
    """Scores and their mix of values, whatever the number of heads."""
    return 2 * 2 * queries * keys * width


def _vit(config: VideoViTConfig) -> int:
    d, depth, _ = config.dimensions
    t, h, w = config.grid
    places, prefix = h * w, config.cls_token + config.registers
    patches = t * places
    total = _linear(patches, math.prod(config.tubelet), d)
    # Query, key, value and output take 4 d^2 a token, an MLP of ratio 4 takes 8 d^2.
    if config.attention == "joint":
        n = patches + prefix
        total += depth * (_linear(n, d, 12 * d) + _attention(n, n, d))
    elif config.attention == "factorised":
        n = places + prefix
        total += t * depth * (_linear(n, d, 12 * d) + _attention(n, n, d))
        m = t + config.cls_token
        total += config.temporal_depth * (_linear(m, d, 12 * d) + _attention(m, m, d))
    else:
        n = places + prefix
        over_time = _linear(patches, d, 4 * d) + places * _attention(t, t, d)
        over_space = _linear(t * n, d, 4 * d) + t * _attention(n, n, d)
        total += depth * (over_time + over_space + _linear(patches + prefix, d, 8 * d))
    if config.pool == "attention":
        total += _linear(patches, d, 2 * d) + _attention(1, patches, d) + _linear(1, d, 10 * d)
    return total


def _mvit(config: MViTConfig) -> int:
    window = math.prod(PATCH_KERNEL) * config.channels
    total = _linear(math.prod(config.patch_grid), window, config.blocks()[0].width)
    return total + sum(_mvit_block(block) for block in config.blocks())


def _mvit_block(block: MultiscaleBlockConfig) -> int:
    """One block: products, pools and the wider MLP of a stage's last block."""
    d, d_out = block.width, block.width_out
    n = 1 + math.prod(block.grid)
    queries = 1 + math.prod(block.grid_out)
    keys_grid = math.prod(pooled(block.grid, block.kv_stride))
    pool = 2 * math.prod(POOL_KERNEL) * d
    total = _linear(n, d, 3 * d) + _attention(queries, 1 + keys_grid, d) + _linear(queries, d, d)
    total += pool * (2 * keys_grid + (queries - 1) * block.pools)
    hidden = int(d * block.mlp_ratio)
    total += _linear(queries, d, hidden) + _linear(queries, hidden, d_out)
    return total + (_linear(queries, d, d_out) if d_out != d else 0)
