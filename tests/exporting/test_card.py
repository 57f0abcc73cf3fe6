"""A model card: front matter that YAML reads, measured numbers, and what was not given."""

import json

import numpy as np
import pytest
import yaml

from cmrjax.data.records import RecordSource
from cmrjax.evals.base import Row
from cmrjax.evals.model import Model, TrainedOn, Training
from cmrjax.exporting.card import CardWords, model_card, summarise
from cmrjax.models.text_encoder import TextEncoderConfig
from tests.exporting.models import FORMS, INPUT
from tests.tiny import tiny_contract

WORDS = CardWords(name='cine: "small"', licence="apache-2.0", intended_use="To be looked at.")
TRAINING = Training(
    objective="contrastive",
    seed=0,
    data=(TrainedOn(dataset="f" * 64, splits="e" * 64, split="train", fold=(1, 5)),),
)


def model(config=FORMS["joint"], **fields) -> Model:
    given = {"params": {"a": np.zeros((1000, 3))}, "input": INPUT, "step": 7}
    return Model(config=config, **(given | fields))


def row(**changes) -> Row:
    fields = {"evaluator": "zero_shot", "encoder": "checkpoint", "task": "mi", "metric": "auroc"}
    numbers = {"value": 0.8125, "ci_low": 0.7, "ci_high": 0.9, "n": 40, "n_positive": 12}
    return Row(**(fields | numbers | {"split": "test", "step": 7} | changes))


def front_matter(card: str) -> dict:
    _, text, _ = card.split("---\n", 2)
    return yaml.safe_load(text)


def section(card: str, name: str) -> str:
    return card.split(f"## {name}\n\n")[1].split("\n## ")[0]


def test_what_is_not_given_is_marked():
    card = model_card(model(), CardWords(name="m"))
    assert front_matter(card)["license"] == "other"
    assert front_matter(card)["license_name"] == "not given"
    assert "model-index" not in front_matter(card)
    for name in ("Intended use", "Training data", "Results", "Licence"):
        assert "not given" in section(card, name)
    assert "How the data must be prepared is not known" in section(card, "Input")
    assert "3,000 parameters, imported" in card


def test_what_is_given_is_there(tiny_dataset):
    source = RecordSource(tiny_dataset)
    data = summarise(source, source.splits.patients("train"))
    assert (data.patients, data.studies, data.cines) == (16, 16, 32)
    trained = model(dataset_contract=tiny_contract(), training=TRAINING)
    card = model_card(trained, WORDS, data=data)
    assert front_matter(card)["license"] == "apache-2.0"
    assert front_matter(card)["library_name"] == "cmrjax"
    assert "step 7 of contrastive training" in card
    assert "| prepared data | spacing_mm | 2.0 |" in section(card, "Input")
    assert "tiny (source phantom, text report): 16 patients, 16 studies, 32 cines" in card
    assert "split train (fold 1 of 5)" in section(card, "Training data")
    assert "eeeeeeeeeeeeeeee" in section(card, "Training data")
    assert section(card, "Intended use").strip() == "To be looked at."
    assert "16 patients of one dataset" in section(card, "Limitations")
    assert "- training data: made by a test" in section(card, "Licence")


def test_results_are_those_of_the_step_with_their_intervals():
    rows = [
        row(),
        row(encoder="random", value=0.5),
        row(encoder="pixels_pca", value=0.6),
        row(task="dcm", value=None, ci_low=None, ci_high=None),
        row(step=3, value=0.1),
        row(evaluator="retrieval", metric="recall_at_1", value=0.25),
    ]
    card = model_card(model(), WORDS, rows=rows)
    shown = section(card, "Results")
    assert "0.812" in shown
    assert "0.700 to 0.900" in shown
    assert "random" in shown
    assert "pixels_pca" not in shown
    assert "0.100" not in shown
    assert shown.index("zero_shot, split test") < shown.index("retrieval, split test")
    (index,) = front_matter(card)["model-index"]
    assert index["name"] == WORDS.name
    found = [metric for result in index["results"] for metric in result["metrics"]]
    assert [m["value"] for m in found] == [0.8125, 0.25]
    assert found[0]["args"] == {"ci_low": 0.7, "ci_high": 0.9, "n": 40}
    assert json.dumps(index)


@pytest.mark.parametrize(
    ("config", "here", "absent"),
    [
        (FORMS["joint"], "encode_cine(clips)  # float32 [b, 4, 8, 8] in 0..1", "encode_text"),
        (TextEncoderConfig(vocabulary=9, max_tokens=6), "encode_text", "encode_cine"),
    ],
)
def test_the_example_calls_what_the_model_has(config, here, absent):
    usage = section(model_card(model(config), WORDS), "Use")
    assert here in usage
    assert absent not in usage
