"""What a config asks of its dataset is checked before a step is made."""

from types import SimpleNamespace

import pytest

from cmrjax import assembly
from cmrjax.assembly import make_examples, make_objective
from cmrjax.core.errors import UserError
from cmrjax.data.records import RecordSource
from cmrjax.experiment import input_contract, make_tokenizer, run_config
from tests.tiny import tiny_config

FRAMES = {"variant": "N", "tubelet": (1, 8, 8), "frames_as_images": True}


@pytest.fixture(scope="module")
def source(tiny_dataset):
    return RecordSource(tiny_dataset)


def parts(source, **changes):
    run = run_config(tiny_config(source.directory, **changes))
    return run, input_contract(run, source)


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        ({"name": "supervised", "binary": ("lvef",)}, r"binary: 'lvef' is .* kind regression"),
        ({"name": "supervised", "binary": (), "regression": ("bright",)}, "regression: 'bright'"),
        ({"name": "contrastive", "positives": "findings", "findings": ("lvef",)}, "findings: "),
        ({"name": "supervised", "binary": ("dark",)}, r"no labels \['dark'\]"),
    ],
)
def test_a_label_of_another_kind_is_named(source, objective, message):
    run, contract = parts(source, objective=objective)
    with pytest.raises(UserError, match=message):
        make_examples(run, source, contract, None)


def test_an_objective_of_clips_does_not_take_frames(source):
    run, contract = parts(source, model=FRAMES)
    with pytest.raises(UserError, match="frames_as_images: objective 'contrastive' does not take"):
        make_objective(run, contract, vocabulary=20, source=None)


@pytest.mark.parametrize("values", [[float("nan")] * 3, [50.0, float("nan"), 50.0]])
def test_a_label_that_never_differs_is_named(source, monkeypatch, values):
    objective = {"name": "supervised", "binary": ("bright",), "regression": ("lvef",)}
    run, contract = parts(source, objective=objective)
    members = [SimpleNamespace(rows=(i,)) for i in range(len(values))]
    monkeypatch.setattr(assembly, "select_studies", lambda *_: members)
    labels = {i: {"labels": {"lvef": value}} for i, value in enumerate(values)}
    with pytest.raises(UserError, match="'lvef' has no two different values"):
        make_objective(run, contract, source=labels)  # pyright: ignore[reportArgumentType]


def test_a_given_vocabulary_without_any_text_is_refused(source, tmp_path):
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\nblood\n")
    text = {"vocabulary": str(tmp_path / "vocab.txt")}
    data = tiny_config(source.directory)["data"]
    run, _ = parts(source, text=text)
    assert make_tokenizer(run, source).get_vocab_size() == 5
    run, _ = parts(source, text=text, data=data | {"report_sections": ("technique",)})
    with pytest.raises(UserError, match=r"report_sections: no report .*\('technique',\)"):
        make_tokenizer(run, source)


def test_a_section_that_no_report_has_is_named(source):
    data = tiny_config(source.directory)["data"] | {"report_sections": ("finding", "impression")}
    with pytest.raises(UserError, match=r"no section of a report is called \['finding'\]; use"):
        parts(source, data=data)
