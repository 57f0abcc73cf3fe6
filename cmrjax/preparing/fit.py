"""The contract of a new dataset: from the flags, or from the model that it is for."""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cmrjax.core.errors import UserError
from cmrjax.data.contract import (
    DTYPES,
    VIEWS,
    DatasetContract,
    differences,
    load_contract,
    load_dataset_part,
)
from cmrjax.data.sources.public import PublicSource
from cmrjax.data.sources.table import PUBLIC
from cmrjax.data.splits import FOLDS, load_splits
from cmrjax.data.standardise import INTENSITY

# Fields of the contract that a flag chooses, and the flag.
_FLAGS = {"spacing_mm": "spacing", "size": "size", "frames": "frames", "dtype": "dtype"}


def contract_of(args: argparse.Namespace, *, id_namespace: str) -> DatasetContract:
    """What the flags ask for.

    Args:
        args: the flags of `prepare`.
        id_namespace: which key hashes the ids.

    Raises:
        UserError: a flag contradicts `--contract`, or the model's data was prepared in a way that
            this version does not know; each differing field is named with both values.
    """
    source = PUBLIC.get(args.source)
    ours = DatasetContract(
        # 64 pixels of 2.5 mm hold the left ventricle with its wall in .98 of ACDC's slices and the
        # right one, too, in .83; of 2.0 mm in .91 and .55.
        spacing_mm=2.5 if args.spacing is None else args.spacing,
        size=args.size or 64,
        frames=args.frames or (source.frames if source else 16),
        orientation="acquired",
        intensity=INTENSITY,
        dtype=args.dtype or DTYPES[0],
        crop="motion",
        views=VIEWS,
        masks=bool(source and source.masks),
        id_namespace=id_namespace,
    )
    if args.contract is not None:
        ours = _as(load_dataset_part(args.contract), ours, args)
    return _fitting(ours, source)


def _as(model: DatasetContract, ours: DatasetContract, args: argparse.Namespace) -> DatasetContract:
    """Ours with all that a flag could choose taken from the model's."""
    where = str(Path(args.contract))
    wanted = {field: getattr(model, field) for field in _FLAGS}
    clashes = [
        f"--{flag} {given}, but the model's data has {wanted[field]}"
        for field, flag in _FLAGS.items()
        if (given := getattr(args, flag)) is not None and given != wanted[field]
    ]
    if clashes:
        raise UserError("; ".join(clashes), where=where, fix="leave these flags out")
    fitted = replace(ours, **wanted)
    if fitted.dtype not in DTYPES:
        fitted = replace(fitted, dtype=ours.dtype)  # named below
    # A model from before a view had a name of its own gets its cines as unknown ones.
    if set(model.views) <= set(VIEWS):
        fitted = replace(fitted, views=model.views)
    if wrong := differences(fitted, model):
        raise UserError(
            "this version cannot prepare as the model's data was: " + "; ".join(wrong),
            where=where,
            fix="use the version of cmrjax that prepared it",
        )
    return fitted


def kept_splits(dataset: Path, id_namespace: str) -> Mapping[str, tuple[str, int]]:
    """Split and fold of the patients of a former dataset.

    Args:
        dataset: the former dataset.
        id_namespace: which key hashes the new one's ids.

    Raises:
        UserError: it is no dataset, or its ids are of another key, so that nobody is found again.
    """
    theirs = load_contract(dataset).id_namespace
    if theirs != id_namespace:
        raise UserError(
            "its ids are of another key",
            where=f"--splits {dataset}",
            fix="give the --deid-key-file that it was prepared with",
        )
    splits = load_splits(dataset)
    if splits.folds != FOLDS:
        raise UserError(f"has {splits.folds} folds, not {FOLDS}", where=f"--splits {dataset}")
    return splits.assignment


def _fitting(contract: DatasetContract, source: PublicSource | None) -> DatasetContract:
    """The contract, unless it asks for a cycle of what never moved."""
    if source and source.imaging != "cine" and contract.frames != 1:
        raise UserError(
            f"{contract.frames} frames of {source.imaging}, which are single images",
            fix="prepare it with --frames 1, for a model of single frames",
        )
    return contract
