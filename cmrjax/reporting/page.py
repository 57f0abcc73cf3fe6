"""What the page of a run shows, part by part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cmrjax.reporting.datacard import DataCard
from cmrjax.reporting.figures import Plot
from cmrjax.reporting.html import render_template
from cmrjax.reporting.seen import SeenCine
from cmrjax.reporting.similar import Neighbours, TextQuery
from cmrjax.reporting.tables import EvaluatorTables, KeyFigure


@dataclass(frozen=True)
class Notice:
    """A line the reader must not miss; `kind` is 'privacy', 'data' or 'state'."""

    kind: str
    text: str


@dataclass(frozen=True)
class Section:
    """An evaluator's part of the results.

    Args:
        tables: its rows.
        forest: AUROC of every task.
        cases: ROC curves and predictions against truth.
        legend: (key, name) of the encoders in `cases`.
    """

    tables: EvaluatorTables
    forest: Plot | None
    cases: Sequence[Plot]
    legend: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Page:
    """Everything the template shows; an empty part says why in `missing`.

    Args:
        title: name of the run.
        summary: what the run is, in a sentence.
        facts: (name, value) under it.
        notices: what the reader must not miss.
        key_figures: numbers of the head.
        card: the data card.
        sheet: (row, view) of the contact sheet.
        curves: training curves.
        single_values: (name, step, value) of metrics that were logged once, which have no curve.
        curve_terms: (name, meaning) of both.
        results: one part an evaluator.
        encoders: (name, meaning) of each encoder in the results.
        neighbours: queries with their neighbours.
        queries: text queries.
        seen: cines with the maps of the model over them.
        text_note: what is said of report text beside cines.
        config: (key, value) of the run's config.
        media: row of the index -> address of its cine.
        missing: part -> why it is empty.
    """

    title: str
    summary: str
    facts: Sequence[tuple[str, str]]
    notices: Sequence[Notice]
    key_figures: Sequence[KeyFigure]
    card: DataCard | None
    sheet: Sequence[tuple[int, str]]
    curves: Sequence[Plot]
    single_values: Sequence[tuple[str, str, str]]
    curve_terms: Sequence[tuple[str, str]]
    results: Sequence[Section]
    encoders: Sequence[tuple[str, str]]
    neighbours: Sequence[Neighbours]
    queries: Sequence[TextQuery]
    seen: Sequence[SeenCine]
    text_note: str
    config: Sequence[tuple[str, str]]
    media: Mapping[int, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)


def render(page: Page) -> bytes:
    """The page as HTML."""
    return render_template("page.html", page=page)
