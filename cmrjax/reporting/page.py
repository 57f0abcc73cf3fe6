"""The page itself: one template, everything escaped, nothing from the network."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from cmrjax.reporting.datacard import DataCard
from cmrjax.reporting.figures import Plot
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
        curve_terms: (name, meaning) of them.
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


def _file(name: str) -> str:
    path = resources.files("cmrjax.reporting") / "templates" / name
    return path.read_text(encoding="utf-8")


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def render(page: Page) -> bytes:
    """The page as HTML.

    The policy names the hashes of our own style and script, so that a browser runs no other and
    fetches nothing, even if some text of the data were ever left unescaped.
    """
    style, script = _file("page.css"), _file("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; "
        f"script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )
    environment = Environment(
        loader=FunctionLoader(_file),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template("page.html").render(
        page=page,
        # Our own two files are the only texts that are not escaped.
        style=Markup(style),
        script=Markup(script),
        policy=policy,
    )
    return html.encode()
