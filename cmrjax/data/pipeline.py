"""From records to batches of studies, through grain.

The position in the data is one integer, examples consumed. The pipeline stays a MapDataset, so that
starting at example k is an index, not a replay: after `shuffle().repeat()`, process p of n reads
`ds[k:][p::n]`, which is the same global order for any number of processes.
"""

import math
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import grain
import numpy as np
from tokenizers import Tokenizer

from cmrjax.core.errors import UserError
from cmrjax.core.types import UNDRAWN
from cmrjax.data import tokenizer as wordpiece
from cmrjax.data.contract import InputContract
from cmrjax.data.records import RecordSource, Study, studies
from cmrjax.data.reports import near_key, sections, sentences
from cmrjax.data.transforms import sample_clip, sample_clip_and_mask

Batch = dict[str, np.ndarray]
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_SAME_NUMBER = 1.2  # ratio between the sizes that numbers are rounded to
WORD_BUCKETS = 256  # of a report's vector


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which data a run reads and how an example is drawn from a study.

    Args:
        dataset: directory that `prepare` wrote.
        split: `train`, `val` or `test`.
        fold: `(i, k)` for cross-validation; empty for the pinned split.
        cines: cines drawn from a study for one example.
        sentences: sentences drawn from its report.
        statements: longest list of a report's statements that positives are looked up in.
        clip_frames: frames of a clip.
        clip_sampling: `uniform` or `ed_es`.
        crop_size: rows and columns of a clip; 0 takes the stored size.
        report_sections: sections that sentences come from.
        sentences_per_text: drawn sentences that are joined into one text.
        section_dropout: how often a section that a report has is left out of the draw; one always
            stays.
        shuffle_sentences: joined sentences in the order of the draw; otherwise of the report.
        max_tokens: longest sentence in tokens.
        check_shards: check every record of the dataset before the first step, also those that
            this run would never draw; what is drawn is always checked.
    """

    dataset: str
    split: str = "train"
    fold: tuple[int, ...] = ()
    cines: int = 4
    sentences: int = 2
    statements: int = 32
    clip_frames: int = 16
    clip_sampling: str = "uniform"
    crop_size: int = 0
    report_sections: tuple[str, ...] = ("findings", "impression")
    sentences_per_text: int = 1
    section_dropout: float = 0.0
    shuffle_sentences: bool = True
    max_tokens: int = 32
    check_shards: bool = True

    def patients(self, source: RecordSource, split: str | None = None) -> frozenset[str]:
        """The patients of this split (or another) under this fold."""
        if self.fold and len(self.fold) != 2:
            raise UserError(f"fold = {self.fold}", where="config.data.fold", fix="give (i, k)")
        fold = (self.fold[0], self.fold[1]) if self.fold else None
        return source.splits.patients(split or self.split, fold)


def statement_key(sentence: str) -> int:
    """A 32-bit key of what a sentence states; 0 is padding.

    Wordings that differ in marks or case are one statement. Numbers count by size: within about a
    tenth of each other they are mostly the same statement, "LVEF 30 %" and "LVEF 65 %" never are.
    """
    numbers = [float(number) for number in _NUMBER.findall(sentence)]
    sizes = [round(math.log(max(number, 0.1)) / math.log(_SAME_NUMBER)) for number in numbers]
    return zlib.crc32(f"{near_key(sentence)} {sizes}".encode()) or 1


class StudyExamples(grain.transforms.RandomMap):
    """Draws an example, its cines and sentences, from a study.

    Args:
        source: the dataset.
        config: how to draw.
        contract: the model's own input.
        tokenizer: None leaves the text out.
        tasks: labels to add, in this order.
        masks: add the masks of the drawn frames.
        report_vectors: add a vector that tells reports apart by their words (`word_vector`).
    """

    def __init__(
        self,
        source: RecordSource,
        config: DataConfig,
        contract: InputContract,
        *,
        tokenizer: Tokenizer | None,
        tasks: Sequence[str] = (),
        masks: bool = False,
        report_vectors: bool = False,
    ):
        self._source, self._config, self._contract = source, config, contract
        self._tokenizer, self._tasks = tokenizer, tuple(tasks)
        self._masks, self._report_vectors = masks, report_vectors

    def random_map(self, element: Study, rng: np.random.Generator) -> Batch:
        """One example; see the objectives' `loss` for the shapes, here without the batch.

        `study` is a number of the study, `rows` those of its drawn records (-1 pads).
        """
        drawn = sorted(rng.permutation(len(element.rows))[: self._config.cines])
        numbers = [element.rows[i] for i in drawn]
        records = [self._source[number] for number in numbers]
        side, cines = self._contract.crop_size, self._config.cines
        shape = (cines, self._contract.clip_frames, side, side)
        clips = np.zeros(shape, records[0]["cine"].dtype)
        masks = np.full(shape, UNDRAWN, np.uint8)
        for i, record in enumerate(records):
            if self._masks:
                clips[i], masks[i] = sample_clip_and_mask(record, self._contract, rng)
            else:
                clips[i] = sample_clip(record["cine"], self._contract, rng)
        example = {
            "clips": clips,
            "clip_mask": np.arange(cines) < len(records),
            "study": np.int32(element.rows[0]),
            "rows": np.array([*numbers, *[-1] * (cines - len(numbers))], np.int32),
        }
        if self._masks:
            example["segmentation"] = masks
        if self._tokenizer is not None:
            example |= self._text(records[0]["report"], self._tokenizer, rng)
        if self._report_vectors:
            listed = sentences(records[0]["report"], self._config.report_sections)
            example["report_vector"] = word_vector(" ".join(listed))
        if self._tasks:
            labels = records[0]["labels"]
            example["labels"] = np.array([labels[t] for t in self._tasks], np.float32)
        return example

    def _text(self, report: str, tokenizer: Tokenizer, rng: np.random.Generator) -> Batch:
        config = self._config
        listed = sentences(report, _sections_drawn(report, config, rng))
        texts = draw_texts(listed, config, rng)
        keys = np.array([statement_key(text) for text in texts], np.uint32)
        tokens = np.zeros((config.sentences, config.max_tokens), np.int32)
        statement = np.zeros(config.sentences, np.uint32)
        statements = np.zeros(config.statements, np.uint32)
        if texts:
            tokens[: len(texts)] = wordpiece.encode(tokenizer, texts, max_tokens=config.max_tokens)
            statement[: len(texts)] = keys
            # A drawn text is always among its own report's statements, however long that is, and
            # so are those of a section that was left out.
            whole = sentences(report, config.report_sections)
            every = np.array([statement_key(sentence) for sentence in whole], np.uint32)
            unique = np.unique(np.concatenate([keys, every]), return_index=True)
            ordered = unique[0][np.argsort(unique[1])][: config.statements]
            statements[: len(ordered)] = ordered
        return {"tokens": tokens, "statement": statement, "statements": statements}


def _sections_drawn(report: str, config: DataConfig, rng: np.random.Generator) -> tuple[str, ...]:
    """The sections that texts are drawn from: all, or those that the dropout leaves."""
    if not config.section_dropout:
        return config.report_sections
    there = sections(report)
    present = [name for name in config.report_sections if name in there]
    stays = rng.random(len(present)) >= config.section_dropout
    left = tuple(name for name, stay in zip(present, stays, strict=True) if stay)
    return left or tuple(present[i] for i in rng.permutation(len(present))[:1])


def draw_texts(listed: Sequence[str], config: DataConfig, rng: np.random.Generator) -> list[str]:
    """Draws texts from a report's sentences, none of which is drawn twice.

    Returns:
        At most `sentences` texts, each of `sentences_per_text` sentences (the last may have fewer).
    """
    each = config.sentences_per_text
    order = rng.permutation(len(listed))[: config.sentences * each]
    parts = [order[i : i + each] for i in range(0, len(order), each)]
    if not config.shuffle_sentences:
        parts = [np.sort(part) for part in parts]
    return [" ".join(listed[i] for i in part) for part in parts]


def word_vector(text: str) -> np.ndarray:
    """A text's words, counted and hashed: unit vector `[WORD_BUCKETS]`, zero for no word.

    Two reports that differ in a few words point in nearly one direction.
    """
    vector = np.zeros(WORD_BUCKETS, np.float32)
    for word in near_key(text).split():
        code = zlib.crc32(word.encode())
        vector[code % WORD_BUCKETS] += 1.0 if code >> 31 else -1.0
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


def example_dataset(
    members: Sequence[Study], transform: StudyExamples | None, *, seed: int
) -> grain.MapDataset:
    """The endless global order of examples: every epoch a new permutation of the studies."""
    dataset = grain.MapDataset.source(list(members)).seed(seed).shuffle().repeat()
    return dataset if transform is None else dataset.random_map(transform)


def batches(
    dataset: grain.MapDataset,
    *,
    batch_size: int,
    start: int,
    process: int = 0,
    processes: int = 1,
) -> Iterator[Batch]:
    """This process's part of every global batch, from example `start` on.

    Args:
        dataset: of `example_dataset`.
        batch_size: examples of a global batch.
        start: global examples already consumed.
        process: this process's number.
        processes: number of processes.

    Raises:
        UserError: the batch does not divide over the processes.
    """
    if batch_size % processes:
        raise UserError(
            f"a batch of {batch_size} over {processes} processes",
            where="config.batch_size",
            fix="make it a multiple",
        )
    mine = dataset[start:][process::processes].batch(batch_size // processes)
    # Reading in the calling thread beats 16 threads on small clips; the device runs ahead anyway.
    options = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
    return iter(mine.to_iter_dataset(options))


def select_studies(source: RecordSource, config: DataConfig) -> list[Study]:
    """The studies of the configured split and fold.

    Raises:
        UserError: there are none.
    """
    members = studies(source.index, config.patients(source))
    if not members:
        raise UserError(
            f"no study in split {config.split!r}", where="config.data", fix="check split and fold"
        )
    return members


def report_sentences(
    source: RecordSource, members: Sequence[Study], config: DataConfig
) -> Iterator[tuple[str, str]]:
    """`(patient id, sentence)` of every report, from one record a study."""
    for study in members:
        report = source[study.rows[0]]["report"]
        for sentence in sentences(report, config.report_sections):
            yield study.patient_id, sentence
