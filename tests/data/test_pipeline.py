"""The order of examples is one function of the seed, for any number of processes or restarts."""

import dataclasses
import itertools

import numpy as np
import pytest

from cmrjax.core.errors import UserError
from cmrjax.core.types import UNDRAWN
from cmrjax.data import tokenizer as wordpiece
from cmrjax.data.contract import InputContract
from cmrjax.data.pipeline import (
    DataConfig,
    StudyExamples,
    batches,
    draw_texts,
    example_dataset,
    report_sentences,
    select_studies,
    statement_key,
    word_vector,
)
from cmrjax.data.records import RecordSource
from tests.tiny import write_tiny_dataset

CONTRACT = InputContract(
    clip_frames=2,
    clip_sampling="uniform",
    crop_size=8,
    normalise="unit",
    report_sections=("history", "findings", "impression"),
    tokenizer="wordpiece",
    max_tokens=10,
)


@pytest.fixture(scope="module")
def source(tiny_dataset):
    return RecordSource(tiny_dataset)


@pytest.fixture(scope="module")
def config(tiny_dataset):
    return DataConfig(
        dataset=str(tiny_dataset),
        cines=3,
        sentences=2,
        statements=4,
        clip_frames=2,
        report_sections=CONTRACT.report_sections,
        max_tokens=10,
    )


@pytest.fixture(scope="module")
def members(source, config):
    return select_studies(source, config)


@pytest.fixture(scope="module")
def transform(source, config, members):
    texts = report_sentences(source, members, config)
    tokenizer = wordpiece.train_tokenizer(texts, vocabulary_size=120)
    return StudyExamples(source, config, CONTRACT, tokenizer=tokenizer, tasks=("lvef", "bright"))


def take(dataset, count, **where):
    return list(itertools.islice(batches(dataset, **where), count))


def joined(parts):
    """The global batches: the processes' parts one after another."""
    return [
        {name: np.concatenate([part[name] for part in step]) for name in step[0]}
        for step in zip(*parts, strict=True)
    ]


def same(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def sorted_rows(batch):
    """A batch's examples in an order of their own: processes interleave them."""
    rows = [tuple(np.asarray(v[i]).tobytes() for v in batch.values()) for i in range(len_of(batch))]
    return sorted(rows)


def len_of(batch):
    return len(batch["clips"])


@pytest.mark.parametrize("processes", [2, 4])
def test_every_global_batch_is_the_same_for_any_number_of_processes(members, transform, processes):
    dataset = example_dataset(members, transform, seed=5)
    whole = take(dataset, 6, batch_size=8, start=0)
    parts = [
        take(dataset, 6, batch_size=8, start=0, process=p, processes=processes)
        for p in range(processes)
    ]
    for one, other in zip(whole, joined(parts), strict=True):
        assert sorted_rows(one) == sorted_rows(other)
    # Process p holds every n-th example of each global batch, from its p-th on.
    for p, part in enumerate(parts):
        same(part, [{k: v[p::processes] for k, v in batch.items()} for batch in whole])


@pytest.mark.parametrize("processes", [1, 2])
def test_starting_at_k_is_skipping_k(members, transform, processes):
    dataset = example_dataset(members, transform, seed=5)
    place = {"batch_size": 6, "process": processes - 1, "processes": processes}
    whole = take(dataset, 6, start=0, **place)
    # 18 examples are more than an epoch of 16 studies.
    same(take(dataset, 3, start=18, **place), whole[3:])


def test_the_draw_of_an_example_does_not_depend_on_history(members, transform):
    one = example_dataset(members, transform, seed=5)
    other = example_dataset(members, transform, seed=5)
    backwards = [other[i] for i in reversed(range(20))][::-1]
    same([one[i] for i in range(20)], backwards)
    same([one[7]], [one[7]])


def test_an_epoch_holds_each_study_once_and_the_next_in_another_order(members):
    dataset = example_dataset(members, None, seed=5)
    n = len(members)
    epochs = [[dataset[e * n + i].study_id for i in range(n)] for e in range(3)]
    for epoch in epochs:
        assert sorted(epoch) == [s.study_id for s in members]
    assert epochs[0] != epochs[1] != epochs[2]
    assert [example_dataset(members, None, seed=6)[i].study_id for i in range(n)] != epochs[0]


def test_a_study_is_drawn_anew_in_each_epoch(members, transform):
    # One study of two cines and three sentences: what is drawn of it changes.
    dataset = example_dataset(members[:1], transform, seed=0)
    drawn = {tuple(dataset[i]["statement"]) for i in range(12)}
    assert len(drawn) > 2


def test_an_example(source, members, transform):
    study = members[0]
    report = source[study.rows[0]]["report"]
    example = transform.random_map(study, np.random.default_rng(0))
    assert example["clips"].shape == (3, 2, 8, 8)
    assert example["clips"].dtype == np.uint8
    # Two cines of at most three: the first two in the order of the study, the third is padding.
    assert example["clip_mask"].tolist() == [True, True, False]
    assert not example["clips"][2].any()
    for row, clip in zip(study.rows, example["clips"], strict=False):
        centre = source[row]["cine"][:, 4:12, 4:12]
        assert any(np.array_equal(clip, centre[[i, i + 2]]) for i in (0, 1))
    finding = report.split("FINDINGS: ")[1].split(" IMPRESSION")[0]
    keys = {statement_key(s) for s in ("Dyspnoea.", finding, "As above.")}
    assert set(example["statements"].tolist()) == keys | {0}
    assert set(example["statement"].tolist()) < keys
    assert example["tokens"].shape == (2, 10)
    assert (example["tokens"][:, 0] == 2).all()
    labels = source[study.rows[0]]["labels"]
    assert example["labels"].tolist() == [labels["lvef"], labels["bright"]]


def test_a_statement_is_its_words_and_the_size_of_its_numbers():
    assert statement_key("LVEF is 55 %.") == statement_key("lvef is 54.5%")
    assert statement_key("LVEF is 55 %.") != statement_key("LVEF is 30 %.")
    assert statement_key("Area 0 cm2.") == statement_key("Area 0.0 cm2.")
    assert statement_key("No effusion.") != statement_key("Effusion.")
    assert all(0 < statement_key(text) < 2**32 for text in ("", "a", "No effusion."))


class OneReport:
    """A source whose every record holds this report."""

    def __init__(self, source, report):
        self._source, self._report = source, report

    def __getitem__(self, row):
        return self._source[row] | {"report": self._report}


def examples(source, config, transform, report):
    fake = OneReport(source, report)
    return StudyExamples(fake, config, CONTRACT, tokenizer=transform._tokenizer)  # type: ignore


def test_a_drawn_sentence_is_always_among_the_statements(source, config, members, transform):
    letters = "abcdefghijklmnop"
    report = "FINDINGS: " + " ".join(f"Sign {letter} seen." for letter in letters)
    drawer = examples(source, config, transform, report)
    keys = {statement_key(f"Sign {letter} seen.") for letter in letters}
    seen = set()
    for seed in range(30):
        example = drawer.random_map(members[0], np.random.default_rng(seed))
        statement, statements = example["statement"].tolist(), example["statements"].tolist()
        assert set(statement) <= set(statements) <= keys
        assert len(set(statements)) == 4
        assert len(set(statement)) == 2
        seen |= set(statement)
    assert len(seen) > 10, "sentences far down in a report must be drawn too"


def test_a_study_without_a_report_is_padding(source, config, members, transform):
    for report in ("", "TECHNIQUE: Cine at 1.5 T."):
        example = examples(source, config, transform, report).random_map(
            members[0], np.random.default_rng(0)
        )
        for name in ("tokens", "statement", "statements"):
            assert not example[name].any()


def patients(source, config, split):
    return {s.patient_id for s in select_studies(source, dataclasses.replace(config, split=split))}


def test_no_patient_of_a_folds_test_part_is_in_a_batch(source, tiny_dataset):
    for i in range(5):
        config = DataConfig(dataset=str(tiny_dataset), fold=(i, 5))
        parts = {name: patients(source, config, name) for name in ("train", "val", "test")}
        assert not parts["train"] & (parts["val"] | parts["test"])
        assert not parts["val"] & parts["test"]
        assert sum(map(len, parts.values())) == 24
        assert parts["test"] == {p for p, (_, f) in source.splits.assignment.items() if f == i}
        dataset = example_dataset(select_studies(source, config), None, seed=i)
        drawn = {dataset[k].patient_id for k in range(60)}
        assert drawn == parts["train"]
        heard = report_sentences(source, select_studies(source, config), config)
        assert {patient for patient, _ in heard} == parts["train"]


def test_what_cannot_be_drawn_is_named(source, tiny_dataset, members):
    with pytest.raises(UserError, match="a batch of 6 over 4 processes"):
        batches(example_dataset(members, None, seed=0), batch_size=6, start=0, processes=4)
    for fold in ((1,), (1, 5, 2)):
        with pytest.raises(UserError, match=r"config\.data\.fold.*give"):
            select_studies(source, DataConfig(dataset=str(tiny_dataset), fold=fold))
    for fold in ((5, 5), (0, 4), (-1, 5)):
        with pytest.raises(UserError, match="no fold"):
            select_studies(source, DataConfig(dataset=str(tiny_dataset), fold=fold))
    with pytest.raises(UserError, match="no split 'trian'"):
        select_studies(source, DataConfig(dataset=str(tiny_dataset), split="trian"))


def test_an_example_says_which_records_it_holds(source, members, transform):
    example = transform.random_map(members[0], np.random.default_rng(0))
    assert example["study"] == members[0].rows[0]
    assert example["rows"].tolist() == [*members[0].rows, -1]


def test_texts_of_several_sentences_hold_each_once(config):
    listed = [f"Sentence {i}." for i in "abcdefg"]
    three = dataclasses.replace(config, sentences=3, sentences_per_text=3)
    texts = draw_texts(listed, three, np.random.default_rng(0))
    assert [len(text.split(". ")) for text in texts] == [3, 3, 1]
    assert sorted(" ".join(texts).split()) == sorted(" ".join(listed).split())
    ordered = dataclasses.replace(three, shuffle_sentences=False)
    for text in draw_texts(listed, ordered, np.random.default_rng(0)):
        assert text.split() == [w for s in listed if s in text for w in s.split()]


def test_a_section_is_left_out_as_often_as_asked_and_never_all(source, config, members):
    often = dataclasses.replace(config, sentences=9, max_tokens=12, section_dropout=0.5)
    tokenizer = wordpiece.train_tokenizer(
        report_sentences(source, members, config), vocabulary_size=120
    )
    transform = StudyExamples(source, often, CONTRACT, tokenizer=tokenizer)
    whole = StudyExamples(source, dataclasses.replace(often, section_dropout=0.0), CONTRACT,
                          tokenizer=tokenizer)  # fmt: skip
    rng = np.random.default_rng(0)
    counts = [
        int((transform.random_map(members[0], rng)["statement"] > 0).sum()) for _ in range(99)
    ]
    full = int((whole.random_map(members[0], rng)["statement"] > 0).sum())
    assert full == 3  # one sentence in each of three sections
    assert min(counts) == 1
    # Of three sections half stay; where none would, one does: 1.5 + 1/8.
    assert np.mean(counts) == pytest.approx(1.625, abs=0.25)


def test_reports_that_differ_in_a_word_have_near_vectors():
    one, other, far = map(
        word_vector,
        (
            "The left ventricle is dilated with impaired systolic function.",
            "The left ventricle is dilated with preserved systolic function.",
            "No pericardial effusion seen.",
        ),
    )
    assert np.linalg.norm(one) == pytest.approx(1)
    assert 0.8 < one @ other < 1
    assert abs(one @ far) < 0.3
    assert not word_vector("").any()


def test_masks_come_with_their_frames(tmp_path):
    directory = write_tiny_dataset(tmp_path / "masks", masks=True)
    source = RecordSource(directory)
    config = DataConfig(dataset=str(directory), cines=2, clip_frames=2)
    transform = StudyExamples(source, config, CONTRACT, tokenizer=None, masks=True)
    drawn = 0
    for study in select_studies(source, config):
        example = transform.random_map(study, np.random.default_rng(1))
        assert example["segmentation"].shape == example["clips"].shape
        for row, clip, mask in zip(study.rows, example["clips"], example["segmentation"],
                                   strict=True):  # fmt: skip
            record = source[row]
            for image, classes in zip(clip, mask, strict=True):
                at = [np.array_equal(image, f) for f in record["cine"][:, 4:12, 4:12]].index(True)
                if record["mask_classes"][at]:
                    np.testing.assert_array_equal(classes, record["mask"][at, 4:12, 4:12])
                    drawn += 1
                else:
                    assert (classes == UNDRAWN).all()
    assert drawn
