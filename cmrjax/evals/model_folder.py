"""Model folders: one network on disk, for whoever has neither its run nor the training extras.

    config.json        format, version, kind, network, step, and whose data trained it
    model.safetensors  parameters by path, joined with `/`
    contract.json      preprocessing of the data and input of the network
    tokenizer.json     of a text tower
    README.md          the model card; yours to edit
    manifest.json      SHA-256 of the files above but for the card, and of what lies beside them

`cmrjax export` and `cmrjax import` write them; `load_model` reads one.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from cmrjax import __version__
from cmrjax.core.errors import CorruptDataError, UserError
from cmrjax.core.manifest import MANIFEST, verify_manifest, write_manifest
from cmrjax.core.writer import new_folder, write_bytes_atomic, write_json_atomic
from cmrjax.data import tokenizer as wordpiece
from cmrjax.data.contract import load_model_contract, save_checkpoint_contract
from cmrjax.evals.encoder import Encoder, make_encoder
from cmrjax.evals.model import Model, TrainedOn, Training, require_parameters
from cmrjax.models.build import ModelConfig, config_from_json, config_to_json
from cmrjax.models.parameters import flatten, unflatten

FORMAT = "cmrjax-model"
VERSION = 1
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"


def write_model_folder(target: Path, model: Model, *, card: str) -> None:
    """Writes a model folder, whole or not at all.

    Args:
        target: the folder; it may not exist yet.
        model: what to write.
        card: text of `README.md`.

    Raises:
        UserError: there is something at `target` already.
    """
    with new_folder(target) as folder:
        write_model_files(folder, model, card=card)
        seal(folder)


def write_model_files(folder: Path, model: Model, *, card: str) -> None:
    """Writes a model's files into a folder that is there; `seal` it when it is complete."""
    config = {
        "format": FORMAT,
        "version": VERSION,
        "made_by": f"cmrjax {__version__}",
        "kind": model.kind,
        "step": model.step,
        "model": config_to_json(model.config),
        "training": asdict(model.training) if model.training else None,
    }
    write_json_atomic(folder / CONFIG_FILE, config)
    write_weights(folder / WEIGHTS_FILE, model.params)
    save_checkpoint_contract(folder, model.dataset_contract, model.input)
    if model.tokenizer is not None:
        wordpiece.save_tokenizer(folder, model.tokenizer)
    write_bytes_atomic(folder / CARD_FILE, card.encode())


def seal(folder: Path) -> None:
    """Writes the manifest of all files of a folder but for the card, which may be edited."""
    names = [p.name for p in folder.iterdir() if p.is_file()]
    write_manifest(folder, [name for name in names if name not in (CARD_FILE, MANIFEST)])


def write_weights(path: Path, params: dict[str, Any]) -> None:
    """Writes parameters as safetensors, their paths joined with `/`."""
    leaves = {name: np.asarray(leaf, order="C") for name, leaf in flatten(params).items()}
    write_bytes_atomic(path, save(leaves, metadata={"format": "cmrjax"}))


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Arrays by path, as `write_weights` wrote them.

    Raises:
        CorruptDataError: the file is missing, or is not a safetensors file.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CorruptDataError("is not a safetensors file", where=str(path)) from error


def is_model_folder(directory: Path) -> bool:
    """Whether the folder says of itself that it is one."""
    return _config(directory).get("format") == FORMAT


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def read_model_folder(folder: Path) -> Model:
    """Reads a model folder, every hash checked before anything is used.

    Raises:
        UserError: it is no model folder, of an unknown version, or its parts do not fit together.
        CorruptDataError: a file is damaged.
    """
    config = _config(folder)
    if config.get("format") != FORMAT:
        if (folder / MANIFEST).is_file():
            verify_manifest(folder)  # names config.json where that is what is damaged
        raise UserError(
            "is not a model folder",
            where=str(folder),
            fix="give one that `cmrjax export` or `cmrjax import` wrote",
        )
    if config.get("version") != VERSION:
        raise UserError(
            f"version {config.get('version')!r} of the format; this cmrjax reads {VERSION}",
            where=str(folder / CONFIG_FILE),
            fix="update cmrjax",
        )
    verify_manifest(folder)
    network, step, training = _parse(config, where=str(folder / CONFIG_FILE))
    leaves = read_weights(folder / WEIGHTS_FILE)
    require_parameters(network, leaves, where=str(folder / WEIGHTS_FILE))
    dataset, contract = load_model_contract(folder)
    has_tokenizer = (folder / wordpiece.TOKENIZER_FILE).is_file()
    return Model(
        config=network,
        params=unflatten(leaves),
        input=contract,
        dataset_contract=dataset,
        tokenizer=wordpiece.load_tokenizer(folder) if has_tokenizer else None,
        step=step,
        training=training,
    )


def _parse(config: Mapping[str, Any], *, where: str) -> tuple[ModelConfig, int, Training | None]:
    """Network, step and training of a `config.json`."""
    try:
        network = config_from_json(config["kind"], config["model"], where="model")
        training = config["training"] and _training(config["training"])
        return network, int(config["step"]), training
    except UserError as error:
        raise UserError(error.what, where=f"{where}: {error.where}", fix=error.fix) from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"is not a model's config ({error!r})", where=where) from None


def _training(section: Mapping[str, Any]) -> Training:
    data = [
        TrainedOn(**{**part, "fold": tuple(part["fold"]) if part["fold"] else None})
        for part in section["data"]
    ]
    return Training(**{**section, "data": tuple(data)})


def read_training(folder: Path) -> Training | None:
    """Whose data trained a model folder; None where that is not known, or it is none."""
    config = _config(folder)
    if config.get("format") != FORMAT or config.get("version") != VERSION:
        return None
    return _parse(config, where=str(folder / CONFIG_FILE))[2]


def load_model(path: str | Path, *, name: str = "checkpoint") -> Encoder:
    """The encoder of a model folder.

    Args:
        path: the folder.
        name: what results call it.

    Raises:
        UserError: it is no model folder, of an unknown version, or its parts do not fit together.
        CorruptDataError: a file is damaged.

    Example:
        >>> model = load_model("cine-b16")                            # doctest: +SKIP
        >>> model.encode_cine(clips).shape                            # doctest: +SKIP
        (4, 512)
    """
    return make_encoder(read_model_folder(Path(path)), name=name)
