"""From a run to the page: each part is built if what it needs is there, or says what is missing."""

import contextlib
import datetime
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cmrjax.core.errors import UserError
from cmrjax.data.records import RecordSource, Study, studies
from cmrjax.data.splits import SPLIT_NAMES
from cmrjax.evals.config import EvalConfig
from cmrjax.evals.embeddings import Cohort, read_cohort
from cmrjax.evals.jobs import Job
from cmrjax.evals.origin import WorkdirOrigin
from cmrjax.evals.workdir_encoder import load_encoder
from cmrjax.evals.zero_shot import Ensemble, load_prompts
from cmrjax.reporting import figures, similar, tables, words
from cmrjax.reporting.cines import contact_sheet, encode_all
from cmrjax.reporting.datacard import DataCard, data_card
from cmrjax.reporting.page import Notice, Page, Section
from cmrjax.reporting.run import Run
from cmrjax.reporting.seen import seen_cines

MAX_READ = 5000  # with more studies, labels and neighbours come from the test split alone
CINE_BUDGET = 9_000_000  # characters of the page that cines may take
MAX_CASE_PLOTS = 64
SHEET_PER_VIEW = 6
_NO_DATASET = "The dataset of this run is not at hand, neither where its config says nor in the "
_NO_DATASET += "workdir, so nothing that needs its cines or labels can be shown."
_FROM_LABELS = "Text made from labels: the reports of this dataset were generated from its "
_FROM_LABELS += "measurements, no one wrote them. Zero-shot and retrieval numbers say how well the "
_FROM_LABELS += "model reads those measurements from images, not how well it reads reports."


def build_page(run: Run) -> Page:
    """Everything the template shows.

    Args:
        run: what was read from the workdir.

    Raises:
        CorruptDataError: a checkpoint or a record is damaged.
    """
    missing: dict[str, str] = {}
    card, sheet, cohorts = _data_part(run, missing)
    neighbours, queries = _similar_part(run, cohorts, missing)
    curves = figures.training_curves(run.metrics)
    single = [
        (name.replace("_", " "), str(step), f"{value:.4g}")
        for name, step, value in figures.single_values(run.metrics)
    ]
    if not curves and not single:
        missing["training"] = "No metrics have been written yet."
    if not run.rows:
        missing["results"] = "No evaluation has finished yet. Run cmrjax evaluate, then this again."
    return Page(
        title=run.workdir.resolve().name,
        summary=_summary(run),
        facts=_facts(run),
        notices=_notices(run),
        key_figures=tables.key_figures(run.rows),
        card=card,
        sheet=sheet,
        curves=[*curves, *filter(None, [figures.progress(run.history)])],
        single_values=single,
        curve_terms=_curve_terms(run),
        results=_results(run),
        encoders=_encoders(run),
        neighbours=neighbours,
        queries=queries,
        seen=seen_cines(run.workdir),
        text_note=_text_note(run),
        config=_flat(run.config.to_json()),
        media=_media(run, sheet, neighbours, queries),
        missing=missing,
    )


def _fold(run: Run) -> tuple[int, int] | None:
    fold = run.data.fold
    return (fold[0], fold[1]) if fold else None


def _data_part(
    run: Run, missing: dict[str, str]
) -> tuple[DataCard | None, list[tuple[int, str]], dict[str, Cohort]]:
    if run.source is None:
        missing["data"] = _NO_DATASET
        return None, [], {}
    source, fold = run.source, _fold(run)
    members: dict[str, list[Study]] = {
        split: studies(source.index, run.data.patients(source, split)) for split in SPLIT_NAMES
    }
    everything = sum(map(len, members.values())) <= MAX_READ
    cohorts = {
        split: read_cohort(source, split=split, fold=fold)
        for split in (SPLIT_NAMES if everything else ("test",))
        if members[split]
    }
    card = data_card(source, members, cohorts, run.input)
    return card, contact_sheet(members["test"], per_view=SHEET_PER_VIEW), cohorts


def _similar_part(run: Run, cohorts: Mapping[str, Cohort], missing: dict[str, str]):
    """Neighbours and text queries, each with its reason when it cannot be shown."""
    try:
        if run.source is None or "test" not in cohorts:
            raise UserError(_NO_DATASET if run.source is None else "The test split has no study.")
        encoder = load_encoder(run.workdir)
        job = _evaluation(run, run.source)
        used = [job.cohort(split) for split in ("test", "train") if split in cohorts]
        embedded = [job.embed(encoder, cohort.split) for cohort in used]
    except UserError as error:
        missing["neighbours"] = missing["queries"] = _sentence(error)
        return [], []
    tasks = run.source.info.get("label_tasks", {})
    found = similar.neighbours(used, embedded, tasks, show_text=run.show_text)
    try:
        prompts = _prompts(run)
        queries = similar.text_queries(
            encoder, used[0], embedded[0], prompts, tasks, show_text=run.show_text
        )
    except UserError as error:
        missing["queries"] = _sentence(error)
        return found, []
    return found, queries


def _sentence(error: UserError) -> str:
    text = error.what[:1].upper() + error.what[1:]
    return text if text.endswith(".") else f"{text}."


def _evaluation(run: Run, source: RecordSource) -> Job:
    """An evaluator's view of the run: it shares the cached embeddings of those that ran before."""
    config = EvalConfig(
        evaluator="retrieval", data=str(source.directory), fold=_fold(run) or (), batch_size=32
    )
    return Job(config, WorkdirOrigin(run.workdir))


def _prompts(run: Run) -> dict[str, Ensemble]:
    """The prompts that the zero-shot evaluation used, or else those made for the dataset."""
    used = ""
    for path in sorted((run.workdir / "evals").glob("zero_shot*/*/settings.json")):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            used = json.loads(path.read_text()).get("config", {}).get("prompts") or used
    default = "acdc" if run.source and run.source.info.get("source") == "acdc" else "phantom"
    return load_prompts(used or default)


def _media(run: Run, sheet, neighbours, queries) -> dict[int, str]:
    """The cines of every place that shows one."""
    if run.source is None:
        return {}
    cards = [card for n in neighbours for card in (n.query, *n.found)]
    cards += [card for query in queries for card in query.found]
    uses = Counter([row for row, _ in sheet] + [row for c in cards for row, _ in c.cines])
    return encode_all(run.source, uses, budget=CINE_BUDGET)


def _results(run: Run) -> list[Section]:
    sections, left = [], MAX_CASE_PLOTS
    for table in tables.by_evaluator(run.rows):
        mine = [row for row in run.rows if row.evaluator == table.key]
        cases = [p for parts in run.predictions.values() for p in parts if p.evaluator == table.key]
        plots = figures.case_plots(cases)[:left]
        left -= len(plots)
        drawn = {p.encoder for p in cases if p.encoder != "trivial"}
        legend = [(key, words.encoder_name(key)) for key in _ordered(drawn)]
        sections.append(Section(table, figures.forest(mine), plots, legend))
    return sections


def _curve_terms(run: Run) -> list[tuple[str, str]]:
    names = {name for row in run.metrics for name in row}
    return [(k.replace("_", " "), text) for k, text in words.CURVE_MEANING.items() if k in names]


def _ordered(encoders: set[str]) -> list[str]:
    known = [name for name in words.ENCODER_ORDER if name in encoders]
    return known + sorted(encoders - set(known))


def _encoders(run: Run) -> list[tuple[str, str]]:
    plain = {row.encoder for row in run.rows if not tables.is_comparison(row)}
    meaning = words.ENCODER_MEANING
    return [
        (words.encoder_name(name), meaning.get(name, "a rival model, frozen"))
        for name in _ordered(plain)
    ]


def _summary(run: Run) -> str:
    config, model = run.config, run.config.model
    how = {
        "contrastive": "Contrastive pretraining of a video and a text tower on cines and reports",
        "supervised": "Supervised training of a video tower on labels",
        "dino": "Self-distillation (DINO) of a video tower on cines",
        "mae": "Masked autoencoding of cines by a video tower",
        "multitask": "Training of a video tower on masks and diagnoses",
    }[config.objective_name]
    name = run.source.info.get("name", "") if run.source else Path(run.data.dataset).name
    tubelet = "×".join(str(x) for x in model.get("tubelet", ()))
    size = f"variant {model.get('variant', '?')}" + (f", tubelet {tubelet}" if tubelet else "")
    return f"{how} ({size}), dataset {name}, {config.steps} steps of {config.batch_size} studies."


def _facts(run: Run) -> list[tuple[str, str]]:
    state, step = run.status.get("state", "unknown"), run.status.get("step", "?")
    facts = [("State", f"{state}, step {step} of {run.config.steps}")]
    if run.checkpoints:
        facts.append(("Newest checkpoint", f"step {run.checkpoints[-1]}"))
    if run.source is not None:
        info = run.source.info
        facts.append(("Data", f"{info.get('source', '?')}{', public' if run.public else ''}"))
        if info.get("licence"):
            facts.append(("Licence of the data", str(info["licence"])))
    if fold := _fold(run):
        facts.append(("Fold", f"{fold[0] + 1} of {fold[1]}"))
    facts.append(("Seed", str(run.config.seed)))
    if isinstance(updated := run.status.get("updated"), int | float):
        time = datetime.datetime.fromtimestamp(updated, tz=datetime.UTC)
        facts.append(("Last step", f"{time:%Y-%m-%d %H:%M} UTC"))
    return facts


def _notices(run: Run) -> list[Notice]:
    out = []
    if run.source is not None and not run.public:
        out.append(
            Notice(
                "privacy",
                "This page shows de-identified report text and cines of patients. No "
                "de-identification is perfect: keep the page where the data may be."
                if run.show_text
                else "The dataset is not declared public: report text is left out. The page still "
                "shows cines of patients; keep it where the data may be.",
            )
        )
    if run.source is not None and run.source.info.get("source") == "phantom":
        out.append(
            Notice(
                "data",
                "Synthetic data: an analytic phantom of a beating heart. These numbers show that "
                "the method works from end to end; they say nothing about patients.",
            )
        )
    if run.text_source == "from_labels":
        out.append(Notice("data", _FROM_LABELS))
    if run.status.get("state") not in ("done", None):
        out.append(Notice("state", f"Training is not complete ({run.status.get('state')})."))
    steps = {row.step for row in run.rows if row.encoder == "checkpoint"}
    if run.checkpoints and steps and max(steps) < run.checkpoints[-1]:
        out.append(Notice("state", "The newest checkpoint has not been evaluated yet."))
    # Maps over cines without masks have no score, and so no predictions.
    empty = [name for name, parts in run.predictions.items() if not parts]
    scored = tuple({row.evaluator for row in run.rows})
    if unread := [name for name in empty if name.startswith(scored)]:
        text = f"The predictions of {', '.join(unread)} cannot be read: its plots are missing."
        out.append(Notice("state", text))
    return out


def _text_note(run: Run) -> str:
    if run.text_source == "none":
        return "This dataset has no report text."
    if not run.show_text:
        return "Report text withheld."
    return "Text made from labels" if run.text_source == "from_labels" else ""


def _flat(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Config keys in dotted form; of a path only the last part, the rest is the site's own."""
    out = []
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            out += _flat(value, f"{name}.")
        elif isinstance(value, str) and "/" in value:
            out.append((name, Path(value).name))
        else:
            out.append(
                (name, ", ".join(map(str, value)) if isinstance(value, list) else str(value))
            )
    return out
