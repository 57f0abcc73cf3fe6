"""Reading weights that others wrote: safetensors and JSON, never a pickle."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from cmrjax.core.errors import CorruptDataError, UserError

WEIGHTS, INDEX, CONFIG = "model.safetensors", "model.safetensors.index.json", "config.json"
# What the folder may say of the source's own normalisation.
PREPROCESSOR = "preprocessor_config.json"

# All of these may be pickles, which run code when they are read.
PICKLES = (".bin", ".pth", ".pyth", ".pt", ".ckpt", ".pkl", ".pickle", ".tar")
CONVERT = (
    'python -c "import sys, torch, safetensors.torch as s; d = torch.load(sys.argv[1], '
    "map_location='cpu', weights_only=True); d = next((d[k] for k in ('model_state', 'state_dict', "
    "'model') if k in d), d); s.save_file({k: v.contiguous().clone() for k, v in d.items() "
    'if torch.is_tensor(v)}, sys.argv[2])"'
)

_DTYPES: dict[str, Any] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weights:
    """What a file or folder of weights holds.

    Args:
        tensors: name -> array; views of the mapped files, read when they are used.
        config: the `config.json` beside them; None without one.
        preprocessor: the `preprocessor_config.json` beside them; None without one.
        where: names the source in messages.
    """

    tensors: dict[str, np.ndarray]
    config: dict[str, Any] | None = None
    preprocessor: dict[str, Any] | None = None
    where: str = "weights"


def read_weights(path: Path) -> Weights:
    """Opens a `.safetensors` file, or a folder with one (or its shards) and a `config.json`.

    Raises:
        UserError: there is nothing of the kind; a pickle, with the command that converts it.
        CorruptDataError: a file is truncated or is not what its header says.
    """
    refuse_pickle(path)
    folder = path if path.is_dir() else path.parent
    if path.is_dir():
        tensors = _read_folder(path)
    elif path.is_file():
        if path.suffix != ".safetensors":
            raise UserError(
                "not a .safetensors file", where=str(path), fix="give one, or a folder with one"
            )
        tensors = _read_file(path)
    else:
        raise UserError("no such file or folder", where=str(path), fix="check the path")
    if not tensors:
        raise UserError("it holds no tensors", where=str(path))
    return Weights(
        tensors=tensors,
        config=read_json(folder / CONFIG),
        preprocessor=read_json(folder / PREPROCESSOR),
        where=str(path),
    )


def refuse_pickle(path: Path) -> None:
    """Stops at a file that only unpickling could read.

    Raises:
        UserError: names the one command that converts it, to be run where torch is installed.
    """
    if path.suffix.lower() in PICKLES:
        raise UserError(
            "may be a pickle, which can run code when it is read",
            where=str(path),
            fix=f"convert it in an environment with torch and safetensors: {CONVERT} "
            f"{path.name} {WEIGHTS}",
        )


def _read_folder(folder: Path) -> dict[str, np.ndarray]:
    if (folder / WEIGHTS).is_file():
        return _read_file(folder / WEIGHTS)
    if (folder / INDEX).is_file():
        return _read_shards(folder)
    files = sorted(p.name for p in folder.iterdir())
    for name in files:
        refuse_pickle(folder / name)
    others = [name for name in files if name.endswith(".safetensors")]
    fix = f"give the file itself, one of {others}" if others else "give a folder that has it"
    raise UserError(f"no {WEIGHTS}", where=str(folder), fix=fix)


def _read_shards(folder: Path) -> dict[str, np.ndarray]:
    where = str(folder / INDEX)
    places = (read_json(folder / INDEX) or {}).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(v, str) for v in places.values()):
        raise CorruptDataError("the index has no weight_map", where=where)
    shards = {}
    for name in sorted(set(places.values())):
        # A name with folders in it could point anywhere on the disk.
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise UserError(f"the index names {name!r}", where=where, fix="it must be a file here")
        if not (folder / name).is_file():
            raise UserError(f"the shard {name} is missing", where=str(folder), fix="fetch it too")
        shards[name] = _read_file(folder / name)
    absent = [key for key, name in places.items() if key not in shards[name]]
    if absent:
        raise CorruptDataError(f"no {absent[0]} in {places[absent[0]]}", where=where)
    return {key: shards[name][key] for key, name in places.items()}


def _read_file(path: Path) -> dict[str, np.ndarray]:
    # The library checks what a hostile header could do: its size, overlaps, ends beyond the file.
    try:
        with safe_open(path, framework="np") as file:
            names = list(file.keys())
    except (SafetensorError, OSError, ValueError, OverflowError, MemoryError) as error:
        raise CorruptDataError(
            f"not a whole safetensors file ({str(error).splitlines()[0]})",
            where=str(path),
            fix="fetch or convert it again",
        ) from error
    # It copies what it reads; views of the mapped file do not.
    content = np.memmap(path, np.uint8, "r")
    size = int.from_bytes(content[:8].tobytes(), "little")
    header = json.loads(content[8 : 8 + size].tobytes())
    tensors = {}
    for name in names:
        dtype, shape = header[name]["dtype"], tuple(header[name]["shape"])
        if dtype not in _DTYPES:
            raise UserError(f"{name} has the type {dtype}", where=str(path), fix="save as F32")
        start, end = (8 + size + offset for offset in header[name]["data_offsets"])
        tensors[name] = content[start:end].view(_DTYPES[dtype]).reshape(shape)
    return tensors


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object, or None where there is no such file.

    Raises:
        UserError: the file is not a JSON object.
    """
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise UserError("not a JSON object", where=str(path), fix="fetch it again")
    return content
