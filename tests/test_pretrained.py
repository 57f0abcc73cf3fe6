"""A run starts from other networks' weights, wholly or not at all; the report says with what."""

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file

from cmrjax.assembly import make_objective
from cmrjax.core import checkpoint
from cmrjax.core.config import load_config
from cmrjax.core.errors import UserError
from cmrjax.data import tokenizer as wordpiece
from cmrjax.data.contract import InputContract, save_contract
from cmrjax.data.records import RecordSource
from cmrjax.evals.model_folder import write_model_folder
from cmrjax.evals.workdir_encoder import load_workdir_model
from cmrjax.experiment import input_contract, make_tokenizer, run_config
from cmrjax.models.parameters import flatten
from cmrjax.models.pretrained import bert, vit
from cmrjax.models.pretrained.files import Weights
from cmrjax.models.pretrained.load import FREE, differences
from cmrjax.models.pretrained.options import ImportOptions
from cmrjax.models.pretrained.resample import resample_positions
from cmrjax.pretrained import with_pretrained
from tests.models.networks import filled
from tests.models.pretrained.sources import GOLDEN
from tests.tiny import tiny_config, tiny_contract, write_tiny_dataset
from tests.workdirs import write_workdir

ROOT = Path(__file__).resolve().parents[1]
VIT = {
    "size": (32, 2, 4),
    "tubelet": (2, 4, 4),
    "cls_token": True,
    "pool": "cls",
    "activation": "gelu",
    "epsilon": 1e-12,
    "joint": 16,
}
BERT = {
    "style": "bert",
    "width": 32,
    "depth": 2,
    "heads": 4,
    "mlp_ratio": 2.0,
    "pool": "mean",
}
FROM_VIT = {
    "path": str(GOLDEN / "vit"),
    "inflate": "average",
    "channels": "sum",
    "allow_unexpected": ("pooler.*",),
}


@pytest.fixture
def bert_folder(tmp_path):
    """The golden BERT with a vocabulary of its forty tokens."""
    folder = shutil.copytree(GOLDEN / "bert", tmp_path / "bert")
    words = ["the", "blood", "pool", "is", "bright", "dark", "no", "seen", ".", "throughout", ":"]
    tokens = [*wordpiece.SPECIAL, *words, *(f"[unused{i}]" for i in range(40))][:40]
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens))
    return folder


def from_bert(folder, **changes):
    return {"path": str(folder), "allow_unexpected": ("pooler.*",)} | changes


def taken(config, dataset):
    """What a run on the dataset would start from: its initial parameters with others' in them."""
    run, source = run_config(json.loads(json.dumps(config))), RecordSource(dataset)
    contract = input_contract(run, source)
    tokenizer = make_tokenizer(run, source)
    vocabulary = tokenizer.get_vocab_size()
    objective = make_objective(run, contract, vocabulary=vocabulary, source=source)
    drawn = nnx.state(filled(objective.abstract, seed=99), nnx.Param)
    params = jax.tree.map(np.asarray, nnx.to_pure_dict(drawn))
    return params, with_pretrained(
        params,
        objective.network,
        run.pretrained_config(),
        tokenizer=tokenizer,
        contract=source.contract,
    )


def test_the_public_config_asks_for_what_vit_b_and_bert_base_are():
    config = load_config(str(ROOT / "configs" / "pretrain_public.py"))
    run = run_config(config)
    contract = InputContract(
        clip_frames=16,
        clip_sampling="uniform",
        crop_size=224,
        normalise="unit",
        report_sections=("findings",),
        tokenizer="wordpiece",
        max_tokens=64,
    )
    network = make_objective(run, contract, vocabulary=30522, source=None).network
    base = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
    sizes = {"image_size": 224, "patch_size": 16, "intermediate_size": 3072}
    text = {"vocab_size": 30522, "max_position_embeddings": 512}
    for name, layout, asked in (("vit", vit, network.video), ("bert", bert, network.text)):
        said = json.loads((GOLDEN / name / "config.json").read_text()) | base | sizes | text
        source = layout.config_from(Weights(tensors={}, config=said), ImportOptions())
        assert differences(source, asked, FREE | set(layout.FREE)) == ()


def same(a, b):
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(x.tobytes() == y.tobytes() for x, y in leaves)


def test_a_contrastive_run_starts_from_a_vit_and_a_bert(tiny_dataset, bert_folder, capsys):
    config = tiny_config(
        tiny_dataset,
        model=VIT,
        text=BERT | {"vocabulary": str(bert_folder / "vocab.txt")},
        pretrained={"video": FROM_VIT, "text": from_bert(bert_folder)},
    )
    before, params = taken(config, tiny_dataset)
    words = capsys.readouterr().err
    assert "as vit: 31 taken, 0 resampled, 0 missing, 2 unexpected" in words
    assert "as bert: 28 taken, 0 resampled, 0 missing, 2 unexpected" in words
    table = load_file(bert_folder / "model.safetensors")["embeddings.word_embeddings.weight"]
    np.testing.assert_array_equal(params["text"]["embed"]["embedding"], table)
    for part in before:
        assert same(before[part], params[part]) == (part not in ("video", "text"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": VIT | {"size": (32, 2, 8)}}, "heads 4 in the source, 8 asked for"),
        (
            {"pretrained": {"video": FROM_VIT | {"allow_unexpected": ()}}},
            r"allow_unexpected = \('p",
        ),
        ({"pretrained": {"video": FROM_VIT | {"channels": ""}}}, "choose channels"),
        ({"pretrained": {"video": FROM_VIT | {"frames": 4}}}, "frames: the network says this"),
        ({"pretrained": {"video": FROM_VIT | {"chanels": "sum"}}}, r"unknown keys \['chanels'\]"),
        ({"pretrained": {"video": {"channels": "sum"}}}, "choices without a path"),
        ({"pretrained": {"video": FROM_VIT, "workdir": "w"}}, "from workdir and from video.path"),
        ({"pretrained": {"text": FROM_VIT}}, "no vocabulary beside the text tower's weights"),
        ({"pretrained": {"positions": "guess"}}, "positions = 'guess'"),
    ],
)
def test_what_does_not_fit_is_named_and_no_workdir_is_left(tiny_dataset, tmp_path, change, message):
    config = tiny_config(tiny_dataset, model=VIT, pretrained={"video": FROM_VIT}) | change
    with pytest.raises(UserError, match=message):
        taken(config, tiny_dataset)
    assert not (tmp_path / "w" / "config.json").exists()


def test_a_text_towers_weights_want_the_tokens_that_they_know(tiny_dataset, bert_folder):
    config = tiny_config(tiny_dataset, pretrained={"text": from_bert(bert_folder)}, text=BERT)
    with pytest.raises(UserError, match=r"its 40 tokens are not the run's \d+; set config.text"):
        taken(config, tiny_dataset)
    (bert_folder / "vocab.txt").unlink()
    with pytest.raises(UserError, match="no vocabulary beside the text tower's weights"):
        taken(config, tiny_dataset)


def test_a_run_goes_on_from_a_checkpoint_with_twice_the_frames_and_a_larger_image(
    tiny_dataset, tmp_path, capsys
):
    tubelet = {"variant": "N", "tubelet": (2, 8, 8), "joint": 16}
    first = write_workdir(tiny_dataset, tmp_path / "first", steps=(3,), model=tubelet)
    dataset = write_tiny_dataset(tmp_path / "longer", frames=8, size=24)
    config = tiny_config(dataset, model=tubelet, pretrained={"workdir": str(first)})
    config["data"]["clip_frames"] = 8
    with pytest.raises(UserError, match="positions are for 2 x 2 x 2 tokens, the model has 4 x 3"):
        taken(config, dataset)
    config["pretrained"]["positions"] = "resample"
    params = taken(config, dataset)[1]["video"]
    assert "resampled   time (4, 128) <- time (2, 128)" in capsys.readouterr().err
    before = checkpoint.restore_params(first)[1]["video"]
    expected = resample_positions(before["space"], (1, 2, 2), (1, 3, 3))
    np.testing.assert_array_equal(params["space"], expected)
    for key, value in flatten(before).items():
        if key not in ("time", "space"):
            np.testing.assert_array_equal(flatten(params)[key], value)


def test_parts_come_from_workdirs_and_model_folders_alike(tiny_dataset, tmp_path):
    first = write_workdir(tiny_dataset, tmp_path / "first", steps=(3, 6))
    folder = tmp_path / "folder"
    write_model_folder(folder, load_workdir_model(first, step=3), card="")
    tokens = {"vocabulary": str(folder / "tokenizer.json")}
    config = tiny_config(
        tiny_dataset,
        text=tiny_config(tiny_dataset)["text"] | tokens,
        pretrained={
            "workdir": str(first),
            "take": ("video", "project_video", "logit_scale"),
            "text": {"path": str(folder)},
        },
    )
    _, params = taken(config, tiny_dataset)
    third, sixth = (checkpoint.restore_params(first, step)[1] for step in (3, 6))
    for part in ("video", "project_video", "logit_scale"):
        assert same(params[part], sixth[part])
    assert same(params["text"], third["text"])
    assert not same(params["project_text"], sixth["project_text"])


def test_data_prepared_otherwise_is_named_field_by_field(tiny_dataset, tmp_path, capsys):
    first = write_workdir(tiny_dataset, tmp_path / "first", steps=(3,))
    config = tiny_config(tiny_dataset, pretrained={"workdir": str(first)})
    taken(config, tiny_dataset)
    assert "prepared otherwise" not in capsys.readouterr().err
    other = shutil.copytree(tiny_dataset, tmp_path / "other")
    save_contract(other, dataclasses.replace(tiny_contract(), spacing_mm=1.25, dtype="uint16"))
    taken(config | {"data": config["data"] | {"dataset": str(other)}}, other)
    err = capsys.readouterr().err
    assert "config.pretrained was trained on data prepared otherwise" in err
    assert "spacing_mm: dataset 1.25, checkpoint 2.0; dtype: dataset uint16" in err


def test_a_part_that_is_not_there_or_has_another_shape_is_refused(tiny_dataset, tmp_path):
    first = write_workdir(tiny_dataset, tmp_path / "first", steps=(3,))
    for take, model, message in (
        (("head",), {}, "the run has no part 'head'"),
        (("project_video",), {"joint": 8}, r"project_video/kernel \(128, 16\) for \(128, 8\)"),
    ):
        config = tiny_config(tiny_dataset, pretrained={"workdir": str(first), "take": take})
        config["model"] |= model
        with pytest.raises(UserError, match=message):
            taken(config, tiny_dataset)
    config["pretrained"]["step"] = 4
    with pytest.raises(UserError, match=r"no checkpoint of step 4.*\[3\]"):
        taken(config, tiny_dataset)


def test_a_vocabulary_is_read_without_case_unless_the_config_says_otherwise(
    tiny_dataset, bert_folder
):
    text = BERT | {"vocabulary": str(bert_folder / "vocab.txt")}
    for lowercase, first in ((True, 5), (False, 1)):
        run = run_config(tiny_config(tiny_dataset, text=text | {"lowercase": lowercase}))
        tokenizer = make_tokenizer(run, RecordSource(tiny_dataset))
        assert wordpiece.encode(tokenizer, ["The"], max_tokens=3)[0].tolist() == [2, first, 3]
