"""Writes small random networks of Hugging Face transformers and timm, and what they compute.

Run in an environment of its own; the project needs none of these libraries:

    pip install torch transformers timm safetensors
    python tests/golden/hf/make_golden.py
"""

import json
from pathlib import Path

import numpy as np
import timm
import torch
import transformers
from timm.models import save_for_hf
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    VideoMAEConfig,
    VideoMAEForVideoClassification,
    VideoMAEModel,
    ViTConfig,
    ViTModel,
)

HERE = Path(__file__).parent
MEAN, STD = (0.48, 0.46, 0.41), (0.23, 0.22, 0.28)
SIZE, LARGER, PATCH, FRAMES = 16, 24, 4, 4
SHAPE = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2}
MLP = {"intermediate_size": 128}


def drawn(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """The model with every parameter drawn, so that none is zero, one or too small to matter."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            centre = 1.0 if value.ndim == 1 and "bias" not in name else 0.0
            value.copy_(centre + 0.2 * torch.randn(value.shape, generator=generator))
    return model.eval()


def grey(seed: int, *shape: int) -> np.ndarray:
    """Values 0..1."""
    return np.random.default_rng(seed).random(shape, np.float32)


def colours(x: np.ndarray) -> torch.Tensor:
    """Grey `[..., h, w]` as three equal channels `[..., 3, h, w]`, normalised."""
    three = torch.from_numpy(x).unsqueeze(-3).expand(*x.shape[:-2], 3, *x.shape[-2:])
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD))
    return (three - mean) / std


def write(name: str, model, **arrays) -> None:
    """The model's folder, the normalisation and what it computed."""
    model.save_pretrained(HERE / name)
    (HERE / name / "generation_config.json").unlink(missing_ok=True)
    save_arrays(name, **arrays)


def save_arrays(name: str, **arrays) -> None:
    held = {key: value.detach().numpy() for key, value in arrays.items() if torch.is_tensor(value)}
    np.savez_compressed(HERE / name / "expected.npz", **{**arrays, **held})


def preprocessor(name: str) -> None:
    """As the image processors of transformers write it."""
    content = {
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": MEAN,
        "image_std": STD,
        "image_processor_type": "ViTImageProcessor",
        "rescale_factor": 1 / 255,
        "size": {"height": SIZE, "width": SIZE},
    }
    (HERE / name / "preprocessor_config.json").write_text(json.dumps(content, indent=1) + "\n")


@torch.no_grad()
def bert() -> None:
    config = BertConfig(
        vocab_size=40, max_position_embeddings=16, **{**SHAPE, "intermediate_size": 64}
    )
    model = drawn(BertModel(config), 0)
    ids = np.random.default_rng(0).integers(5, 40, (3, 12))
    ids[0, 7:], ids[1, 3:] = 0, 0
    out = model(torch.from_numpy(ids), attention_mask=torch.from_numpy((ids != 0).astype(int)))
    write("bert", model, ids=ids, tokens=out.last_hidden_state, pooled=out.pooler_output)


@torch.no_grad()
def images() -> None:
    sizes = {"image_size": SIZE, "patch_size": PATCH}
    small, large = grey(1, 2, SIZE, SIZE), grey(2, 2, LARGER, LARGER)
    for name, model in {
        "vit": ViTModel(ViTConfig(**sizes, **SHAPE, **MLP)),
        "dinov2": Dinov2Model(Dinov2Config(**sizes, **SHAPE)),
        "dinov2_registers": Dinov2WithRegistersModel(
            Dinov2WithRegistersConfig(**sizes, **SHAPE, num_register_tokens=3)
        ),
    }.items():
        drawn(model, 3)
        more = {"interpolate_pos_encoding": True} if name == "vit" else {}
        write(
            name,
            model,
            grey=small,
            tokens=model(colours(small)).last_hidden_state,
            larger=large,
            larger_tokens=model(colours(large), **more).last_hidden_state,
        )
        preprocessor(name)


@torch.no_grad()
def videos() -> None:
    sizes = {"image_size": SIZE, "patch_size": PATCH, "num_frames": FRAMES, "tubelet_size": 2}
    clips = grey(4, 2, FRAMES, SIZE, SIZE)
    model = drawn(VideoMAEModel(VideoMAEConfig(**sizes, **SHAPE, **MLP, use_mean_pooling=False)), 5)
    write("videomae", model, grey=clips, tokens=model(colours(clips)).last_hidden_state)
    preprocessor("videomae")
    config = VideoMAEConfig(**sizes, **{**SHAPE, "num_hidden_layers": 1}, **MLP)
    model = drawn(VideoMAEForVideoClassification(config), 6)
    pooled = []
    model.fc_norm.register_forward_hook(lambda _module, _inputs, output: pooled.append(output))
    model(colours(clips))
    write("videomae_classifier", model, grey=clips, pooled=pooled[0])
    preprocessor("videomae_classifier")


@torch.no_grad()
def timm_networks() -> None:
    small, large = grey(7, 2, SIZE, SIZE), grey(8, 2, LARGER, LARGER)
    common = {"img_size": SIZE, "patch_size": PATCH, "embed_dim": 32, "num_heads": 4}
    registers = {
        "depth": 1,
        "reg_tokens": 2,
        "no_embed_class": True,
        "global_pool": "avg",
        "init_values": 1.0,
    }
    for name, arguments in {"timm_vit": {"depth": 2}, "timm_vit_registers": registers}.items():
        arguments = {**common, **arguments, "num_classes": 0}
        model = drawn(timm.create_model("vit_base_patch16_224", **arguments), 9)
        wide = timm.create_model("vit_base_patch16_224", dynamic_img_size=True, **arguments).eval()
        wide.load_state_dict(model.state_dict())
        model.pretrained_cfg.update(mean=MEAN, std=STD)
        save_for_hf(model, HERE / name, safe_serialization=True)

        def pooled(network, x):
            return network.forward_head(network.forward_features(colours(x)), pre_logits=True)

        save_arrays(
            name,
            grey=small,
            tokens=model.forward_features(colours(small)),
            pooled=pooled(model, small),
            larger=large,
            larger_pooled=pooled(wide, large),
        )


SENTENCES = [
    "The LEFT ventricle is severely dilated.",
    "LVEF 35 %, EDV 210ml (>200); no effusion!",
    "Café-au-lait naïve Ångström ﬁbrosis",
    "don't  split\tme\nhere\u00a0please",
    "心臓 は大きい heart",
    "unknownwordwithoutpieces dilated",
    "ventricles ventricular re-dilated",
    "[MASK] is a special [SEP] token, [cls] is not",
    "\u200bzero\u200dwidth\ufeff \x00control\x07",
    "",
    "a" * 101,
    "İstanbul STRASSE ß \u0130",
    "12.5mm 3/4 1,000 ±2°",
]
PIECES = """
the left ventricle ventric ##le ##les ##ular is severe ##ly dilated dil ##ated no
effusion lvef LVEF LEFT L ##EFT The Café cafe Caf ##é - au lait naive na ##ï ##ive
angstrom heart re don ' t split me here please 35 3 ##5 % , edv 210 ##ml ( > 200 ) ; ! .
心 臓 a ##a special token zero ##width control 12 ##5 ##mm mm ± 2 ° / 4 1 000 ##0 istanbul
strasse ß is not cls [ ] a s o f b ##i 大 き い は Å i ##̇ ##stanbul ﬁ ##bro ##sis fi
unknown
"""


def tokenizer() -> None:
    folder = HERE / "tokenizer"
    folder.mkdir(exist_ok=True)
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(PIECES.split())]
    path = folder / "vocab.txt"
    path.write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")
    rows = []
    for lowercase in (True, False):
        theirs = BertTokenizer(vocab=str(path), do_lower_case=lowercase)
        for sentence in SENTENCES:
            whole = theirs(sentence)["input_ids"]
            cut = theirs(sentence, truncation=True, max_length=6)["input_ids"]
            rows.append({"lowercase": lowercase, "text": sentence, "ids": whole, "first_6": cut})
    (folder / "expected.json").write_text(json.dumps(rows, indent=0) + "\n")


def main() -> None:
    bert()
    images()
    videos()
    timm_networks()
    tokenizer()
    versions = {m.__name__: m.__version__ for m in (torch, transformers, timm)}
    (HERE / "versions.json").write_text(json.dumps(versions, indent=1) + "\n")


if __name__ == "__main__":
    main()
