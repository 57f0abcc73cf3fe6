"""`cmrjax export`: a trained model as files for others, each checked against its source."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cmrjax.core.distributed import use_compilation_cache
from cmrjax.core.errors import CmrjaxError, UserError
from cmrjax.core.writer import new_folder
from cmrjax.data.contract import load_checkpoint_contract, require_same
from cmrjax.data.records import RecordSource
from cmrjax.data.splits import SPLITS_FILE
from cmrjax.evals.base import RESULTS, read_rows
from cmrjax.evals.config import EVALUATORS
from cmrjax.evals.model import Model
from cmrjax.evals.model_folder import (
    CARD_FILE,
    WEIGHTS_FILE,
    read_model_folder,
    read_weights,
    seal,
    write_model_files,
    write_weights,
)
from cmrjax.evals.origin import load_trained_model
from cmrjax.experiment import load_run_config
from cmrjax.exporting import onnx, stablehlo
from cmrjax.exporting.card import CardWords, DataSummary, model_card, summarise
from cmrjax.exporting.towers import Tower, check, towers
from cmrjax.models.parameters import flatten

FORMATS = ("folder", "safetensors", "stablehlo", "onnx")


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Args:
        file: its name.
        bytes: its size.
        seconds: it took to write and check.
        against_source: how it compares with the source.
    """

    file: str
    bytes: int
    seconds: float
    against_source: str


def main(argv: Sequence[str]) -> int:
    """`cmrjax export (--workdir D [--step N] | --model D) --output DIR [--format ...]`."""
    args = _parser().parse_args(argv)
    formats = _formats(args.format or ["folder"])
    if "onnx" in formats:
        onnx.require_onnx()
    use_compilation_cache()
    with new_folder(args.output) as folder:
        if args.model is None:
            name = args.name or args.output.resolve().name
            words = CardWords(name=name, licence=args.licence, intended_use=args.intended_use)
            model, card = _of_workdir(args.workdir, args.step, words)
        else:
            model, card = _of_folder(args)
        found = export(model, folder, formats=formats, card=card)
    print(format_table(found, title=str(args.output)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cmrjax export", description=__doc__)
    add = parser.add_argument
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--workdir", type=Path, help="of cmrjax train")
    which.add_argument("--model", type=Path, help="a model folder, exported or imported")
    add("--step", type=int, help="of a workdir: which checkpoint; the newest by default")
    add("--output", required=True, type=Path, help="a folder that does not exist yet")
    add("--format", action="append", metavar="F", help=f"one or more of {','.join(FORMATS)}")
    add("--name", default="", help="of the model; the output folder's by default")
    add("--licence", "--license", default="", help="of the weights, e.g. apache-2.0")
    add("--intended-use", default="", help="for the model card")
    return parser


def _of_workdir(workdir: Path, step: int | None, words: CardWords) -> tuple[Model, str]:
    """A checkpoint and its card."""
    model = load_trained_model(workdir, step=step)
    results = workdir / RESULTS
    rows = read_rows(results) if results.is_file() else []
    # A suffix tells results on other data apart, in words that may say whose.
    rows = [row for row in rows if row.evaluator in EVALUATORS]
    return model, model_card(model, words, data=_training_data(workdir), rows=rows)


def _of_folder(args: argparse.Namespace) -> tuple[Model, str]:
    """The model of a folder and the card that it has.

    Raises:
        UserError: it is none, or a flag is given that only a workdir takes.
    """
    given = {"--step": args.step is not None, "--name": args.name, "--licence": args.licence}
    given["--intended-use"] = args.intended_use
    if wrong := [flag for flag, value in given.items() if value]:
        raise UserError(
            f"{', '.join(wrong)} with --model", fix="edit the folder's README.md; it has one step"
        )
    model = read_model_folder(args.model)
    card = args.model / CARD_FILE
    return model, card.read_text() if card.is_file() else ""


def _formats(given: Sequence[str]) -> list[str]:
    """The formats of `--format a,b --format c`, in our order."""
    words = {word for text in given for word in text.split(",")}
    if unknown := sorted(words - set(FORMATS)):
        raise UserError(
            f"unknown format {', '.join(map(repr, unknown))}",
            where="--format",
            fix=f"use some of {', '.join(FORMATS)}",
        )
    return [name for name in FORMATS if name in words]


def _training_data(workdir: Path) -> DataSummary | None:
    """Counts of the run's own training data, where it is at hand."""
    config = load_run_config(workdir).data_config()
    if not (Path(config.dataset) / SPLITS_FILE).is_file():
        return None
    source = RecordSource(Path(config.dataset))
    # Prepared anew since, it is not what the card would say of it.
    require_same(source.contract, load_checkpoint_contract(workdir)[0], where=config.dataset)
    return summarise(source, config.patients(source))


def export(model: Model, folder: Path, *, formats: Sequence[str], card: str) -> list[Exported]:
    """Writes a model into an empty folder and checks each file against it.

    Args:
        model: the source.
        folder: where to.
        formats: some of `FORMATS`.
        card: text of the model card, used by 'folder' alone.

    Returns:
        A line for each file. A tower that a format cannot hold has none, and says so on stderr.

    Raises:
        UserError: nothing could be exported.
        CmrjaxError: a file does not give what the source gives.
    """
    found = []
    if "folder" in formats or "safetensors" in formats:
        found.append(_weights(model, folder, card=card if "folder" in formats else None))
    if "stablehlo" in formats:
        found += programs(
            towers(model), folder, stablehlo.to_stablehlo, stablehlo.load_stablehlo, "StableHLO"
        )
    if "onnx" in formats:
        # Written out block by block, which the runtime optimises further than a loop.
        plain = towers(model, scan=False)
        found += programs(plain, folder, onnx.to_onnx, onnx.load_onnx, "ONNX")
    if not found:
        raise UserError("nothing could be exported", where="--format", fix="see the lines above")
    if "folder" in formats:
        seal(folder)
        read_model_folder(folder)  # whole, and its parts fit together
    return found


def _weights(model: Model, folder: Path, *, card: str | None) -> Exported:
    start, path = time.monotonic(), folder / WEIGHTS_FILE
    if card is not None:
        write_model_files(folder, model, card=card)
    else:
        write_weights(path, model.params)
    ours, theirs = flatten(model.params), read_weights(path)
    same = ours.keys() == theirs.keys() and all(
        leaf.dtype == theirs[name].dtype and leaf.tobytes() == theirs[name].tobytes()
        for name, leaf in ours.items()
    )
    if not same:
        raise CmrjaxError(
            "does not hold the source's bits", where=WEIGHTS_FILE, fix="nothing was written"
        )
    seconds = time.monotonic() - start
    return Exported(path.name, path.stat().st_size, seconds, f"{len(ours)} arrays bit for bit")


def programs(
    found: Sequence[Tower],
    folder: Path,
    convert: Callable[[Tower], bytes],
    load: Callable[[bytes], Callable],
    language: str,
) -> Iterator[Exported]:
    """Each tower as a program that has run and given what the source gives."""
    for tower in found:
        start, path = time.monotonic(), folder / f"{tower.name}.{language.lower()}"
        try:
            content = convert(tower)
            difference = check(tower, load(content), what=path.name)
        except CmrjaxError:
            raise
        except Exception as error:  # whatever a library does not know: the other towers go on
            reason = str(error).strip().splitlines()[:1]
            line = ": ".join([f"{tower.name}: cannot be exported to {language}", *reason])
            print(f"cmrjax export: {line}", file=sys.stderr)
            continue
        path.write_bytes(content)
        line = f"largest difference {difference.absolute:.1e}, relative {difference.relative:.1e}"
        yield Exported(path.name, len(content), time.monotonic() - start, line)


def format_table(found: Sequence[Exported], *, title: str) -> str:
    """An aligned table of what was written."""
    cells = [("file", "MB", "seconds", "against the source")]
    cells += [(e.file, f"{e.bytes / 1e6:.1f}", f"{e.seconds:.1f}", e.against_source) for e in found]
    widths = [max(len(line[i]) for line in cells) for i in range(4)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(x, widths, strict=True)).rstrip() for x in cells]
    return "\n".join([title, *lines])


if __name__ == "__main__":
    from cmrjax.cli import run

    sys.exit(run("export", sys.argv[1:]))
