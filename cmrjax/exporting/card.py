"""The model card: `README.md` of a model folder, with the front matter that Hugging Face reads.

It holds counts, hashes and measured numbers; no path, no id and no text of a report.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cmrjax.evals.model import Model
from cmrjax.models.parameters import flatten

# Records and statistics load seconds of libraries, which the card of an import never needs.
if TYPE_CHECKING:
    from cmrjax.data.records import RecordSource
    from cmrjax.evals.base import Row

NOT_GIVEN = "not given"
_SHOWN_ENCODERS = ("checkpoint", "random", "trivial")
_TITLES = {
    "two_tower": "A video and a text tower for cine cardiac MRI and its reports",
    "video": "A video tower for cine cardiac MRI",
    "text": "A text tower for reports of cardiac MRI",
    "study_regressor": "A network from the cines of a cardiac MRI study to numbers",
}


@dataclass(frozen=True, kw_only=True)
class CardWords:
    """What only the author knows; an empty field is marked as not given.

    Args:
        name: of the model.
        licence: of the weights, for example 'apache-2.0'.
        intended_use: a sentence or a few.
    """

    name: str
    licence: str = ""
    intended_use: str = ""


@dataclass(frozen=True, kw_only=True)
class DataSummary:
    """Counts of what a model was trained on.

    Args:
        name: the dataset's own name.
        source: which source it was prepared from.
        text_source: where its reports come from.
        licence: of the data.
        patients: trained on.
        studies: trained on.
        cines: trained on.
        views: cines by view.
    """

    name: str
    source: str
    text_source: str
    licence: str
    patients: int
    studies: int
    cines: int
    views: Mapping[str, int]


def summarise(source: RecordSource, patients: frozenset[str]) -> DataSummary:
    """Counts the studies of these patients in a dataset."""
    from cmrjax.data.records import studies

    members = studies(source.index, patients)
    views = [view for study in members for view in study.views]
    return DataSummary(
        **{key: str(source.info[key]) for key in ("name", "source", "text_source", "licence")},
        patients=len({study.patient_id for study in members}),
        studies=len(members),
        cines=len(views),
        views={view: views.count(view) for view in sorted(set(views))},
    )


def model_card(
    model: Model, words: CardWords, *, data: DataSummary | None = None, rows: Sequence[Row] = ()
) -> str:
    """The text of `README.md`.

    Args:
        model: the model.
        words: what the author says.
        data: what it was trained on; None where that is not at hand.
        rows: of `results.json`, at the model's step.
    """
    shown = [row for row in rows if row.step == model.step and row.encoder in _SHOWN_ENCODERS]
    sections = [
        _front_matter(words, data, shown),
        f"# {words.name}\n\n{_TITLES[model.kind]}: {_size(model)} parameters, {_history(model)}.",
        f"## Use\n\n{_usage(model)}",
        f"## Input\n\n{_input(model)}",
        f"## Training data\n\n{_training_data(model, data)}",
        f"## Results\n\n{_results(shown)}",
        f"## Intended use\n\n{words.intended_use or NOT_GIVEN}",
        f"## Limitations\n\n{_limitations(data)}",
        f"## Licence\n\n{_licences(words, data)}",
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(words: CardWords, data: DataSummary | None, rows: Sequence[Row]) -> str:
    """YAML, each value written as JSON, which YAML includes."""
    fields: dict[str, Any] = {"license": words.licence or "other"}
    if not words.licence:
        fields["license_name"] = NOT_GIVEN
    fields |= {"library_name": "cmrjax", "tags": ["cardiac-mri", "medical-imaging", "jax"]}
    measured = [row for row in rows if row.encoder == "checkpoint" and row.value is not None]
    if measured:
        dataset = data.name if data else "unknown"
        results = [_index_entry(row, dataset) for row in measured]
        fields["model-index"] = [{"name": words.name, "results": results}]
    lines = []
    for key, value in fields.items():
        if isinstance(value, str):
            lines.append(f"{key}: {json.dumps(value)}")
        else:
            lines += [f"{key}:", *(f"- {json.dumps(item)}" for item in value)]
    return "\n".join(["---", *lines, "---"])


def _index_entry(row: Row, dataset: str) -> dict[str, Any]:
    metric = {"type": row.metric, "name": f"{row.evaluator} {row.task}", "value": row.value}
    metric["args"] = {"ci_low": row.ci_low, "ci_high": row.ci_high, "n": row.n}
    return {
        "task": {"type": "feature-extraction", "name": row.evaluator},
        "dataset": {"type": dataset, "name": dataset, "split": row.split},
        "metrics": [metric],
    }


def _size(model: Model) -> str:
    return f"{sum(math.prod(leaf.shape) for leaf in flatten(model.params).values()):,}"


def _history(model: Model) -> str:
    if model.training is None:
        return "imported"
    return f"step {model.step} of {model.training.objective} training"


def _usage(model: Model) -> str:
    lines = ["from cmrjax import load_model", "", 'model = load_model("THIS FOLDER")']
    t, side = model.input.clip_frames, model.input.crop_size
    if model.has_video:
        lines.append(f"z = model.encode_cine(clips)  # float32 [b, {t}, {side}, {side}] in 0..1")
    if model.has_text:
        lines.append('w = model.encode_text(["The left ventricle is dilated."])')
    return "\n".join(["```python", *lines, "```"])


def _input(model: Model) -> str:
    """Both parts of the contract as a table."""
    parts = {"the network's input": model.input, "prepared data": model.dataset_contract}
    lines = ["| part | field | value |", "|---|---|---|"]
    for part, contract in parts.items():
        for key, value in (asdict(contract) if contract else {}).items():
            text = ", ".join(value) if isinstance(value, tuple) else value
            lines.append(f"| {part} | {key} | {text} |")
    if model.dataset_contract is None:
        return "\n".join([*lines, "", "How the data must be prepared is not known to cmrjax."])
    fit = "`cmrjax prepare --contract THIS_FOLDER` prepares data that fits."
    return "\n".join([*lines, "", fit])


def _training_data(model: Model, data: DataSummary | None) -> str:
    lines = []
    if data is not None:
        views = ", ".join(f"{view} {count}" for view, count in data.views.items())
        lines += [
            f"{data.name} (source {data.source}, text {data.text_source}): {data.patients} "
            f"patients, {data.studies} studies, {data.cines} cines ({views}).",
            "",
        ]
    for part in model.training.data if model.training else ():
        fold = "pinned" if part.fold is None else f"fold {part.fold[0]} of {part.fold[1]}"
        lines.append(
            f"- split {part.split} ({fold}); fingerprint of the records "
            f"{part.dataset[:16] or NOT_GIVEN}, of the splits {part.splits[:16] or NOT_GIVEN}"
        )
    return "\n".join(lines) or NOT_GIVEN


def _results(rows: Sequence[Row]) -> str:
    if not rows:
        return f"{NOT_GIVEN}: no evaluator was run on this checkpoint."
    from cmrjax.evals.tables import format_rows

    parts = []
    for name in dict.fromkeys((row.evaluator, row.split) for row in rows):
        chosen = [row for row in rows if (row.evaluator, row.split) == name]
        parts.append(f"{name[0]}, split {name[1]}:\n\n```\n{format_rows(chosen)}\n```")
    note = "`random` is the same network untrained. Intervals take the patient as the unit."
    return "\n\n".join([*parts, note])


def _limitations(data: DataSummary | None) -> str:
    lines = ["- For research. Not a medical device, and not validated for any clinical decision."]
    if data is not None:
        lines.append(
            f"- It has seen {data.patients} patients of one dataset ({data.name}). On other "
            "scanners, sites, populations or ways of reporting it may do worse, in ways that the "
            "numbers above do not show."
        )
    lines.append("- Data that is not prepared as the table above says gives numbers without sense.")
    return "\n".join(lines)


def _licences(words: CardWords, data: DataSummary | None) -> str:
    of_data = data.licence if data is not None else NOT_GIVEN
    return f"- weights: {words.licence or NOT_GIVEN}\n- training data: {of_data}"
