"""One small tower of every form, drawn: for every format that holds a program."""

from flax import nnx

from cmrjax.data.contract import InputContract
from cmrjax.evals.model import Model
from cmrjax.models.build import make_model
from cmrjax.models.mvit import MViTConfig
from cmrjax.models.text_encoder import TextEncoderConfig
from cmrjax.models.video_vit import VideoViTConfig
from tests.models.networks import filled

INPUT = InputContract(4, "uniform", 8, "unit", (), "none", 6)
SHAPE = {"clip": (4, 8, 8), "tubelet": (2, 4, 4), "size": (16, 1, 2)}
FORMS = {
    "joint": VideoViTConfig(**SHAPE, cls_token=True, registers=1, pool="attention"),
    "factorised": VideoViTConfig(**SHAPE, attention="factorised", temporal_depth=1),
    "divided": VideoViTConfig(**SHAPE, attention="divided", cls_token=True, pool="cls"),
    "mvit": MViTConfig(clip=(2, 16, 16), size=(8, 2, 1), stages=(1,)),
    "text": TextEncoderConfig(vocabulary=30, max_tokens=6, width=16, depth=1, heads=2),
    "bert": TextEncoderConfig(
        vocabulary=30, max_tokens=6, width=16, depth=1, heads=2, style="bert", pool="pooler"
    ),
}


def drawn(config) -> Model:
    """The network with every parameter drawn."""
    network = filled(lambda: make_model(config, rngs=nnx.Rngs(0)))
    params = nnx.to_pure_dict(nnx.state(network, nnx.Param))
    return Model(config=config, params=params, input=INPUT)
