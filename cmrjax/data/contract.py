"""The contract: the preprocessing behind a dataset and behind the model trained on it.

A dataset's contract holds what `prepare` fixed. A checkpoint's holds that and what the model's own
input adds. Jobs compare the dataset part and stop when it differs, because a model fed with other
preprocessing gives numbers that mean nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from cmrjax.core.errors import UserError
from cmrjax.core.writer import write_bytes_atomic

CONTRACT_FILE = "contract.json"
VIEWS = ("sax", "2ch", "3ch", "4ch", "lvot", "unknown")
DTYPES = ("uint8", "uint16")


@dataclass(frozen=True)
class DatasetContract:
    """What `prepare` did to every cine of a dataset.

    Args:
        spacing_mm: in-plane distance between stored pixels, the same for rows and columns.
        size: rows and columns of a stored frame.
        frames: frames stored for one cardiac cycle.
        orientation: 'acquired': rows and columns as the scanner wrote them.
        intensity: how intensities were mapped, e.g. 'percentile:1-99.5' over the stored cine.
        dtype: stored pixel type, one of `DTYPES`; its whole range is used.
        crop: how the crop's centre was found, e.g. 'motion'.
        views: the view vocabulary; a cine of any other view is stored as 'unknown'.
        masks: whether records hold masks.
        id_namespace: which key hashed the ids; recorded, never compared.
        version: version of the record layout.
    """

    spacing_mm: float
    size: int
    frames: int
    orientation: str
    intensity: str
    dtype: str
    crop: str
    views: tuple[str, ...]
    masks: bool
    id_namespace: str
    version: int = 1


@dataclass(frozen=True)
class InputContract:
    """What a model adds between a record and its own input.

    Args:
        clip_frames: frames of the clip the model sees.
        clip_sampling: 'uniform' over the cycle, or 'ed_es'.
        crop_size: rows and columns after the model-side crop.
        normalise: 'unit' maps stored values to 0..1.
        report_sections: sections of the report that the text tower reads.
        tokenizer: 'wordpiece' or 'none'.
        max_tokens: text length in tokens.
    """

    clip_frames: int
    clip_sampling: str
    crop_size: int
    normalise: str
    report_sections: tuple[str, ...]
    tokenizer: str
    max_tokens: int


# Ids never change what the network sees, and masks are not its input: neither makes a model unfit.
_NOT_COMPARED = frozenset({"id_namespace", "masks"})
_C = TypeVar("_C", DatasetContract, InputContract)


def _from_json(kind: type[_C], data: object, where: str) -> _C:
    names = [field.name for field in fields(kind)]
    if not isinstance(data, Mapping) or set(data) != set(names):
        given = set(data) if isinstance(data, Mapping) else set()
        wrong = sorted(set(names) ^ given)
        raise UserError(f"not a {kind.__name__}: {', '.join(wrong)}", where=where)
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
    }
    return kind(**values)


def _read(path: Path, missing: str, fix: str) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(missing, where=str(path.parent), fix=fix) from None
    except (OSError, ValueError):
        raise UserError("is not readable JSON", where=str(path)) from None


def save_contract(directory: Path, contract: DatasetContract) -> None:
    """Writes `contract.json` of a dataset."""
    text = json.dumps(asdict(contract), indent=2, sort_keys=True) + "\n"
    (Path(directory) / CONTRACT_FILE).write_text(text)


def load_contract(directory: Path) -> DatasetContract:
    """Reads the contract of a dataset.

    Raises:
        UserError: the directory is no dataset, or its contract has other fields than these.
    """
    path = Path(directory) / CONTRACT_FILE
    data = _read(path, "is not a dataset (no contract.json)", "make one with `cmrjax prepare`")
    return _from_json(DatasetContract, data, str(path))


def save_checkpoint_contract(
    workdir: Path, dataset: DatasetContract | None, input: InputContract
) -> None:
    """Writes `contract.json` of a workdir or model folder.

    Args:
        workdir: where to.
        dataset: the contract of the training data; None for an imported model, of which no dataset
            of ours is known.
        input: the model's own input.
    """
    parts = {"input": asdict(input)} | ({"dataset": asdict(dataset)} if dataset else {})
    text = json.dumps(parts, indent=2, sort_keys=True) + "\n"
    write_bytes_atomic(Path(workdir) / CONTRACT_FILE, text.encode())


def load_checkpoint_contract(workdir: Path) -> tuple[DatasetContract, InputContract]:
    """Reads the contract of a workdir, or of a model folder that was exported from one.

    Raises:
        UserError: the directory holds no checkpoint contract.
    """
    dataset, input = load_model_contract(workdir)
    if dataset is None:
        raise UserError(
            "the model was imported: its contract names no dataset",
            where=str(workdir),
            fix="give a workdir, or a model folder that was exported from one",
        )
    return dataset, input


def load_dataset_part(directory: Path) -> DatasetContract:
    """Reads how the data of a workdir or model folder, or a dataset itself, was prepared.

    Raises:
        UserError: the directory is none of these, or a model that was imported.
    """
    path = Path(directory) / CONTRACT_FILE
    data = _read(
        path, "has no contract.json", "give a workdir, an exported model folder or a dataset"
    )
    if isinstance(data, dict) and "input" in data:
        return load_checkpoint_contract(directory)[0]
    return load_contract(directory)


def load_model_contract(directory: Path) -> tuple[DatasetContract | None, InputContract]:
    """Reads the contract of a workdir or model folder; an imported model has no dataset part.

    Raises:
        UserError: the directory holds no checkpoint contract.
    """
    path = Path(directory) / CONTRACT_FILE
    data = _read(path, "is not a workdir (no contract.json)", "give the folder `train` wrote")
    if not isinstance(data, dict) or set(data) not in ({"dataset", "input"}, {"input"}):
        raise UserError("is not a checkpoint's contract", where=str(path))
    dataset = None
    if "dataset" in data:
        dataset = _from_json(DatasetContract, data["dataset"], f"{path}: dataset")
    return dataset, _from_json(InputContract, data["input"], f"{path}: input")


def differences(dataset: DatasetContract, checkpoint: DatasetContract) -> list[str]:
    """Names each field in which a dataset differs from what a checkpoint was trained on.

    Example:
        >>> a = DatasetContract(2.0, 64, 16, 'acquired', 'p', 'uint8', 'm', VIEWS, False, 'x')
        >>> from dataclasses import replace
        >>> differences(a, replace(a, spacing_mm=1.5, id_namespace='y'))
        ['spacing_mm: dataset 2.0, checkpoint 1.5']
    """
    return [
        f"{field.name}: dataset {ours}, checkpoint {theirs}"
        for field in fields(DatasetContract)
        if field.name not in _NOT_COMPARED
        and (ours := getattr(dataset, field.name)) != (theirs := getattr(checkpoint, field.name))
    ]


def require_same(
    dataset: DatasetContract, checkpoint: DatasetContract, *, where: str | None = None
) -> None:
    """Stops unless a dataset was prepared as the checkpoint's was.

    Raises:
        UserError: names each differing field.
    """
    if wrong := differences(dataset, checkpoint):
        raise UserError(
            "the dataset does not fit the checkpoint: " + "; ".join(wrong),
            where=where,
            fix="prepare it with `cmrjax prepare --contract WORKDIR`",
        )
