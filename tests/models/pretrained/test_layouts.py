"""Networks of transformers and timm give here what they gave there, or a load report."""

import contextlib
import copy
import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmrjax.core.errors import CorruptDataError, UserError
from cmrjax.models.pretrained.files import Weights, read_weights
from cmrjax.models.pretrained.load import detect, load
from cmrjax.models.pretrained.options import ImportOptions
from cmrjax.models.pretrained.report import LoadError
from tests.models.pretrained.sources import GOLDEN, LAYOUTS, UNEXPECTED, changed, expected, run

VIDEO = [name for name in LAYOUTS if name != "bert"]
LAST_BLOCK = {
    "bert": "encoder.layer.1.attention.self.query.weight",
    "timm_vit": "blocks.1.attn.qkv.weight",
    "timm_vit_registers": "blocks.0.attn.qkv.weight",
    "videomae_classifier": "videomae.encoder.layer.0.attention.attention.query.weight",
}
KEYS = {
    name: LAST_BLOCK.get(name, "encoder.layer.1.attention.attention.query.weight")
    for name in LAYOUTS
}


def options(name: str, **changes) -> ImportOptions:
    channels = "" if name == "bert" else "sum"
    return ImportOptions(
        **{"channels": channels, "allow_unexpected": UNEXPECTED.get(name, ())} | changes
    )


def close(ours, theirs):
    """Within 1e-4 of the largest value."""
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 1e-4 * np.abs(theirs).max()


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_layout_is_found(name):
    assert detect(read_weights(GOLDEN / name)) == LAYOUTS[name]


def test_bert_gives_the_references_tokens_and_pooled_vectors_where_sentences_are_padded():
    reference = expected("bert")
    loaded = load(read_weights(GOLDEN / "bert"))
    ids = reference["ids"].astype(np.int32)
    there = (ids != 0)[..., None]
    close(run(loaded, "tokens", ids) * there, reference["tokens"] * there)
    close(run(loaded, "__call__", ids), reference["pooled"])
    assert (loaded.kind, loaded.config.pool, loaded.config.mlp_ratio) == ("text", "pooler", 2.0)


def test_berts_positions_are_cut_and_never_stretched():
    reference = expected("bert")
    weights = read_weights(GOLDEN / "bert")
    loaded = load(weights, options=ImportOptions(max_tokens=12))
    assert loaded.params["position"].shape == (12, 32)
    close(run(loaded, "__call__", reference["ids"].astype(np.int32)), reference["pooled"])
    with pytest.raises(UserError, match="17 tokens, but positions for 16"):
        load(weights, options=ImportOptions(max_tokens=17))


@pytest.mark.parametrize("name", VIDEO)
def test_a_video_tower_gives_the_references_features_of_grey_images(name):
    # The reference saw three normalised colours; ours sees values 0..1.
    reference = expected(name)
    loaded = load(read_weights(GOLDEN / name), options=options(name))
    clips = reference["grey"]
    clips = clips if clips.ndim == 4 else clips[:, None]
    ours = run(loaded, "features", clips)
    if "tokens" in reference:
        theirs = reference["tokens"]
        before = theirs.shape[1] - ours.tokens.shape[1]
        assert before == loaded.config.cls_token + loaded.config.registers
        close(ours.tokens, theirs[:, before:])
        first = theirs[:, 0] if before else theirs.mean(axis=1)
        close(ours.pooled, reference.get("pooled", first))
    else:
        close(ours.pooled, reference["pooled"])


@pytest.mark.parametrize("name", ["vit", "dinov2", "dinov2_registers", "timm_vit_registers"])
def test_a_larger_image_gives_what_the_source_makes_of_it(name):
    reference = expected(name)
    weights = read_weights(GOLDEN / name)
    asked = options(name, size=24, positions="resample")
    loaded = load(weights, options=asked)
    assert [row.path for row in loaded.report.resampled] == ["space"]
    ours = run(loaded, "features", reference["larger"][:, None])
    theirs = reference.get("larger_tokens")
    close(ours.pooled, reference["larger_pooled"] if theirs is None else theirs[:, 0])
    with pytest.raises(UserError, match="positions are for 1 x 4 x 4 tokens, the model has 1 x 6"):
        load(weights, options=dataclasses.replace(asked, positions="error"))


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_changed_key_gives_the_load_report(name, tmp_path):
    def rename(tensors):
        tensors["elsewhere.weight"] = tensors.pop(KEYS[name])

    weights = read_weights(changed(name, tmp_path / "m", tensors=rename))
    with pytest.raises(LoadError) as found:
        load(weights, layout=LAYOUTS[name], options=options(name))
    text = str(found.value)
    assert f"{KEYS[name]} not in the source" in text
    assert "unexpected: elsewhere.weight (" in text
    assert "--allow-missing 'trunk/blocks/attention/qkv/kernel'" in text
    assert "--allow-unexpected 'elsewhere.*'" in text
    assert "missing     trunk/blocks/attention/qkv/kernel[" in found.value.report.table()


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_changed_shape_gives_the_load_report_with_both_shapes(name, tmp_path):
    def cut(tensors):
        tensors[KEYS[name]] = tensors[KEYS[name]][:-1].copy()

    weights = read_weights(changed(name, tmp_path / "m", tensors=cut))
    rows = weights.tensors[KEYS[name]].shape[0]
    with pytest.raises(LoadError) as found:
        load(weights, layout=LAYOUTS[name], options=options(name))
    assert f"{KEYS[name]} ({rows}, 32)" in str(found.value)
    assert "trunk/blocks/attention/qkv/kernel[" in str(found.value)
    assert "(32, 96)" in str(found.value)


@pytest.mark.parametrize("name", LAYOUTS)
def test_another_head_count_than_the_model_asked_for_gives_the_load_report(name):
    weights = read_weights(GOLDEN / name)
    own = load(weights, options=options(name)).config
    assert load(weights, config=own, options=options(name)).config == own
    if name == "bert":
        asked = dataclasses.replace(own, heads=8)
    else:
        asked = dataclasses.replace(own, size=(*own.dimensions[:2], 8))
    with pytest.raises(LoadError, match="heads 4 in the source, 8 asked for") as found:
        load(weights, config=asked, options=options(name))
    assert found.value.report.taken


@pytest.mark.parametrize("name", [name for name in LAYOUTS if not name.startswith("timm")])
def test_another_head_count_in_the_sources_config_gives_the_load_report(name, tmp_path):
    own = load(read_weights(GOLDEN / name), options=options(name)).config
    weights = read_weights(changed(name, tmp_path / "m", config={"num_attention_heads": 2}))
    with pytest.raises(LoadError, match="heads 2 in the source, 4 asked for"):
        load(weights, config=own, options=options(name))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("activation", "gelu_tanh"),
        ("epsilon", 1e-6),
        ("registers", 1),
        ("final_norm", "pooled"),
        ("layer_scale", True),
        ("motion_gain", 4.0),
        ("size", (32, 3, 4)),
        ("size", (64, 2, 4)),
    ],
)
def test_a_network_of_another_function_than_asked_for_is_refused(field, value):
    weights = read_weights(GOLDEN / "vit")
    own = load(weights, options=options("vit")).config
    asked = dataclasses.replace(own, **{field: value})
    with pytest.raises(LoadError, match="other than the model asked for"):
        load(weights, config=asked, options=options("vit"))


def test_a_layer_too_many_or_too_few_is_named(tmp_path):
    for depth, found in ((1, "unexpected"), (3, "missing")):
        folder = changed("vit", tmp_path / str(depth), config={"num_hidden_layers": depth})
        with pytest.raises(LoadError, match=found):
            load(read_weights(folder), options=options("vit"))


def test_what_is_unexpected_must_be_allowed_by_name_and_no_more_than_that():
    weights = read_weights(GOLDEN / "vit")
    with pytest.raises(LoadError, match=r"--allow-unexpected 'pooler\.\*'$"):
        load(weights, options=options("vit", allow_unexpected=()))
    with pytest.raises(LoadError, match=r"nothing unexpected matches classifier\.\*"):
        load(weights, options=options("vit", allow_unexpected=("pooler.*", "classifier.*")))
    with pytest.raises(LoadError, match="nothing missing matches norm"):
        load(weights, options=options("vit", allow_missing=("norm/*",)))


def test_what_may_be_missing_keeps_its_initial_value(tmp_path):
    def without(tensors):
        for key in ("layernorm.weight", "encoder.layer.1.layernorm_before.weight"):
            del tensors[key]

    weights = read_weights(changed("vit", tmp_path / "m", tensors=without))
    whole = load(read_weights(GOLDEN / "vit"), options=options("vit")).params
    initial = {
        "norm": {"scale": np.full(32, 7.0)},
        "trunk": {"blocks": {"norm1": {"scale": np.full((2, 32), 5.0)}}},
    }
    allowed = options("vit", allow_missing=("norm/scale", "trunk/blocks/norm1/*"))
    loaded = load(weights, options=allowed, initial=lambda _: initial)
    np.testing.assert_array_equal(loaded.params["norm"]["scale"], np.full(32, 7.0))
    scale = loaded.params["trunk"]["blocks"]["norm1"]["scale"]
    np.testing.assert_array_equal(scale[1], np.full(32, 5.0))
    np.testing.assert_array_equal(scale[0], whole["trunk"]["blocks"]["norm1"]["scale"][0])
    assert len(loaded.report.missing) == 2


@pytest.mark.parametrize("name", ["vit", "dinov2", "timm_vit", "bert"])
def test_without_a_config_heads_must_be_given(name, tmp_path):
    folder = changed(name, tmp_path / "m")
    (folder / "config.json").unlink()
    weights = read_weights(folder)
    asked = options(name, mean=(0.5,), std=(0.5,)) if name != "bert" else options(name)
    with pytest.raises(UserError, match="nothing says how many attention heads"):
        load(weights, layout=LAYOUTS[name], options=asked)
    given = dataclasses.replace(asked, heads=4)
    loaded = load(weights, layout=LAYOUTS[name], options=given)
    own = load(read_weights(GOLDEN / name), options=options(name)).config
    assert loaded.config == (own if name == "bert" else dataclasses.replace(own))


def test_heads_that_the_config_contradicts_are_refused():
    with pytest.raises(UserError, match="heads = 2, but the source has 4"):
        load(read_weights(GOLDEN / "vit"), options=options("vit", heads=2))


def test_every_choice_that_the_file_leaves_must_be_made(tmp_path):
    weights = read_weights(GOLDEN / "vit")
    with pytest.raises(UserError, match="choose channels: sum"):
        load(weights, options=options("vit", channels=""))
    with pytest.raises(UserError, match="choose inflate: central or average"):
        load(weights, options=options("vit", tubelet_frames=2))
    bare = dataclasses.replace(weights, preprocessor=None)
    with pytest.raises(UserError, match="nothing says how its input was normalised"):
        load(bare, options=options("vit"))


def test_an_image_network_starts_any_form_over_time():
    weights = read_weights(GOLDEN / "vit")
    own = load(weights, options=options("vit")).config
    asked = dataclasses.replace(
        own, clip=(8, 16, 16), tubelet=(2, 4, 4), attention="divided", pool="mean"
    )
    new = ("trunk/blocks/norm_time/*", "trunk/blocks/attention_time/*")
    chosen = options("vit", inflate="average", allow_missing=new)
    zeros = {"scale": np.zeros((2, 32)), "bias": np.zeros((2, 32))}
    layer = {
        "qkv": {"kernel": np.zeros((2, 32, 96)), "bias": np.zeros((2, 96))},
        "out": {"kernel": np.zeros((2, 32, 32)), "bias": np.zeros((2, 32))},
    }
    initial = {"trunk": {"blocks": {"norm_time": zeros, "attention_time": layer}}}
    loaded = load(weights, config=asked, options=chosen, initial=lambda _: initial)
    assert loaded.config == asked
    assert run(loaded, "__call__", np.zeros((1, 8, 16, 16), np.float32)).shape == (1, 32)
    learned = dataclasses.replace(own, clip=(4, 16, 16), positions="learned")
    table = load(weights, config=learned, options=options("vit")).params["position"]
    space = load(weights, options=options("vit")).params["space"]
    np.testing.assert_array_equal(table, np.tile(space, (4, 1)))


def test_the_oldest_names_of_berts_norms_are_known(tmp_path):
    def rename(tensors):
        for key in [key for key in tensors if "LayerNorm" in key]:
            new = key.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta")
            tensors[f"bert.{new}"] = tensors.pop(key)
        for key in [key for key in tensors if not key.startswith("bert.")]:
            tensors[f"bert.{key}"] = tensors.pop(key)

    loaded = load(read_weights(changed("bert", tmp_path / "m", tensors=rename)))
    ids = expected("bert")["ids"].astype(np.int32)
    close(run(loaded, "__call__", ids), expected("bert")["pooled"])


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("bert", {"is_decoder": True}, "is_decoder = True"),
        ("bert", {"position_embedding_type": "relative_key"}, "relative_key"),
        ("bert", {"model_type": "roberta"}, "of no known layout: .*roberta"),
        ("bert", {"hidden_act": "relu"}, "hidden_act = 'relu'"),
        ("bert", {"hidden_size": "many"}, "hidden_size = 'many'"),
        ("bert", {"num_attention_heads": 5}, "5 heads do not divide the width 32"),
        ("vit", {"intermediate_size": 64}, "an MLP of 64, not 4 x 32"),
        ("dinov2", {"use_swiglu_ffn": True}, "SwiGLU"),
        ("timm_vit", {"architecture": "vit_base_patch16_clip_quickgelu_224"}, "no clip network"),
    ],
)
def test_a_network_that_we_do_not_have_is_refused(name, config, message, tmp_path):
    folder = changed(name, tmp_path / "m", config=config)
    with pytest.raises(UserError, match=message):
        load(read_weights(folder), options=options(name))


ANYTHING = ("x", -1, 0, None, [], {}, True, False, [3], [1, 2, 3], 10**6, 2.5, ["a", "b"])


def keys_of(config, before=()):
    """Paths of all values of a config."""
    for key, value in config.items():
        yield (*before, key)
        yield from keys_of(value, (*before, key)) if isinstance(value, dict) else ()


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_value_in_a_config_is_taken_or_refused_in_one_line(data):
    name = data.draw(st.sampled_from(sorted(LAYOUTS)))
    weights = read_weights(GOLDEN / name)
    config = copy.deepcopy(weights.config)
    *path, last = data.draw(st.sampled_from(list(keys_of(config))))
    place = config
    for part in path:
        place = place[part]
    place[last] = data.draw(st.sampled_from(ANYTHING))
    changed = dataclasses.replace(weights, config=config)
    with contextlib.suppress(UserError):
        load(changed, layout=LAYOUTS[name], options=options(name))


def test_a_layout_that_fits_none_or_is_unknown_lists_what_was_seen():
    weights = Weights(tensors={"a.weight": np.zeros(3, np.float32)}, where="w")
    with pytest.raises(UserError, match=r"w: of no known layout: config\.json says nothing, 1 ten"):
        load(weights)
    with pytest.raises(UserError, match="unknown layout 'resnet'; use bert, vit"):
        load(weights, layout="resnet")


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    def spoil(tensors):
        tensors["layernorm.bias"][3] = np.nan

    weights = read_weights(changed("vit", tmp_path / "m", tensors=spoil))
    with pytest.raises(CorruptDataError, match=r"layernorm\.bias holds numbers"):
        load(weights, options=options("vit"))
