"""The benchmark of the towers: FLOPs against hand counts and XLA's, and a real row."""

import json

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from cmrjax.benchmarks.models import model_row
from cmrjax.benchmarks.row import Row, format_table
from cmrjax.cli import run
from cmrjax.models.build import abstract_model, init_params
from cmrjax.models.flops import text_flops, video_flops
from cmrjax.models.mvit import MViTConfig
from cmrjax.models.text_encoder import TextEncoderConfig
from cmrjax.models.video_vit import VideoViTConfig

TINY = {"size": (16, 2, 2), "clip": (4, 16, 16), "tubelet": (2, 4, 4), "remat": "none"}


def test_flops_of_one_tower_counted_by_hand():
    """Width 16, 2 blocks, 2 x 4 x 4 = 32 tokens of 2 x 4 x 4 = 32 pixels, no class token.

    Embedding          2 * 32 * 32 * 16                = 32,768
    Block: q, k, v     2 * 32 * 16 * 48                = 49,152
           scores, mix 2 * (2 * 32 * 32 * 16)          = 65,536
           output      2 * 32 * 16 * 16                = 16,384
           MLP         2 * 2 * 32 * 16 * 64            = 131,072
    In all             32,768 + 2 * 262,144            = 557,056
    """
    assert video_flops(VideoViTConfig(**TINY)) == 557_056


def test_flops_of_published_towers():
    # Multiply-adds: DeiT-S/8 and ViT-B/16 as timm lists them (22.44 and 17.58 G, with three input
    # channels and a head); MViT-B 16x4 70.5 G (Fan et al. 2021, table 2).
    image = {"clip": (1, 224, 224), "cls_token": True, "pool": "cls"}
    found = [
        video_flops(VideoViTConfig(variant="S", tubelet=(1, 8, 8), **image)),
        video_flops(VideoViTConfig(variant="B", tubelet=(1, 16, 16), **image)),
        video_flops(MViTConfig(channels=3)),
    ]
    assert [flops / 2e9 for flops in found] == pytest.approx([22.44, 17.58, 70.5], rel=0.01)


FORMS = {
    "joint": VideoViTConfig(**TINY, scan=False, cls_token=True, registers=1),
    "factorised": VideoViTConfig(**TINY, scan=False, attention="factorised", temporal_depth=1),
    "divided": VideoViTConfig(**TINY, scan=False, attention="divided", cls_token=True),
    "attention pool": VideoViTConfig(**TINY, scan=False, pool="attention"),
    "mvit": MViTConfig(size=(16, 2, 1), stages=(1,), clip=(4, 16, 16), remat="none"),
}


@pytest.mark.parametrize("name", FORMS)
def test_flops_agree_with_xlas_count_of_an_unrolled_network(name):
    config = FORMS[name]
    graph = nnx.split(abstract_model(config))[0]
    shapes = jax.eval_shape(lambda: init_params(config, jax.random.key(0)))
    clip = jax.ShapeDtypeStruct((1, *config.clip), jnp.float32)
    forward = jax.jit(lambda params, clip: nnx.merge(graph, params)(clip))
    counted = forward.lower(shapes, clip).cost_analysis()["flops"]
    # XLA counts norms, softmax and GELU too, which weigh more in a tower as narrow as this.
    assert 0.7 < video_flops(config) / counted < 1.02


def test_flops_of_bert_base():
    # 85.05 M parameters in the blocks, twice, a token; and 2 * 2 * 128 * 128 * 768 a block.
    config = TextEncoderConfig(vocabulary=100, max_tokens=128, width=768, depth=12, heads=12)
    assert text_flops(config) == 12 * (2 * 128 * 12 * 768**2 + 4 * 128**2 * 768)


def test_a_row_is_measured_and_its_parts_add_up():
    row = model_row("tiny", VideoViTConfig(**TINY), seconds=0.1)
    assert row.ours_s
    assert row.speedup == pytest.approx(row.reference_s / row.ours_s)
    assert row.ours_mb is not None
    assert row.ours_mb < row.reference_mb  # recomputing keeps less
    assert (
        row.extra["parameters"] == 2 * (12 * 16**2 + 13 * 16) + 32 * 16 + 16 + 2 * 16 + 16 * 16 + 32
    )
    assert row.extra["tokens"] == 32


def test_a_table_has_the_columns_that_are_filled():
    rows = [Row(name="a", ours_s=0.5, reference_s=1.0), Row(name="b", note="not run")]
    assert format_table(rows).splitlines() == [
        "| name | ours_s | reference_s | speedup | note |",
        "|---|---|---|---|---|",
        "| a | 0.5 | 1 | 2 |  |",
        "| b |  |  |  | not run |",
    ]


def test_the_command_prints_json(capsys):
    assert run("bench", ["models", "--json", "--only", "Ti/16 joint"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    fixed = ["name", "reference", "ours_s", "reference_s", "speedup", "ours_mb", "reference_mb"]
    assert list(row)[:8] == [*fixed, "note"]
    assert row["forward_gflop"] > 1
