"""Where an encoder looks: its maps over the cines, drawn, and scored against masks of the heart.

The score of a study is the share of a map that lies inside the heart, averaged over its cines in
which a mask shows heart. Beside it stand a uniform map, which gets the heart's share of the area
(`trivial`), and a fixed blot in the middle of the crop (`centre`), since the crop is around the
heart.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cmrjax.core.clock import progress
from cmrjax.data.contract import VIEWS
from cmrjax.data.records import Study
from cmrjax.data.transforms import prepare_clip, prepare_mask
from cmrjax.evals import metrics, overlays
from cmrjax.evals.attention import centre_map, share_inside
from cmrjax.evals.base import Result
from cmrjax.evals.embeddings import Cohort
from cmrjax.evals.encoder import Encoder
from cmrjax.evals.predictions import Predictions
from cmrjax.evals.tower_attention import METHODS, NoMapError

log = logging.getLogger("cmrjax.evaluate")


@dataclass
class _Found:
    """What is gathered cine by cine.

    Args:
        maps: row of the index -> (encoder, method) -> `[t, h, w]`, of the cines that are drawn.
        shares: (encoder, method) -> row -> share inside the heart.
        areas: row -> share of the area; NaN where no mask shows heart.
    """

    maps: dict[int, dict[tuple[str, str], np.ndarray]] = field(default_factory=dict)
    shares: dict[tuple[str, str], dict[int, float]] = field(default_factory=dict)
    areas: dict[int, float] = field(default_factory=dict)

    def add(self, encoder: str, method: str, rows: Sequence[int], shares: np.ndarray) -> None:
        """Keeps the shares of some rows."""
        kept = self.shares.setdefault((encoder, method), {})
        kept.update(zip(rows, shares.tolist(), strict=True))


def evaluate(
    encoders: Sequence[Encoder],
    cohort: Cohort,
    how: metrics.Resampling,
    *,
    evaluator: str = "attention",
    sentence: str = "",
    drawn_studies: int = 2,
    batch_size: int = 32,
) -> Result:
    """Draws the maps of some studies, and scores those of all studies that have masks.

    Args:
        encoders: of equal input, the model first.
        cohort: the studies.
        how: the resampling.
        evaluator: name for rows and predictions.
        sentence: what the gradient map asks for; empty asks for all of the embedding.
        drawn_studies: how many studies are drawn, spread evenly; each by one cine of every view.
        batch_size: cines of a batch.
    """
    drawn = _drawn_rows(cohort.members, drawn_studies)
    masked = bool(cohort.source.contract.masks)
    rows = [row for study in cohort.members for row in study.rows] if masked else list(drawn)
    found = _Found(maps={row: {} for row in drawn})
    methods = _methods(encoders[0], cohort, sentence, batch_size)
    bar = progress(total=len(rows), unit="cines", description=f"maps {cohort.label}")
    for start in range(0, len(rows), batch_size):
        chosen = rows[start : start + batch_size]
        _look(encoders, methods, cohort, chosen, found, sentence=sentence, batch_size=batch_size)
        bar.update(len(chosen))
    bar.close()
    predictions = _predictions(cohort, found, evaluator) if masked else []
    scored = len(predictions[0].target) if predictions else 0
    log.info(
        "%d of %d studies have a mask of the heart and are scored; %d cines are drawn",
        scored,
        len(cohort.members),
        len(drawn),
    )
    return Result(
        rows=metrics.all_rows(predictions, how) if scored else [],
        predictions=predictions,
        figures=_figures(cohort, encoders[0], drawn, found),
    )


def _methods(encoder: Encoder, cohort: Cohort, sentence: str, batch_size: int) -> list[str]:
    """The methods that the network has; the others are named in the log."""
    row = cohort.members[0].rows[0]
    clips = _batch([prepare_clip(cohort.source[row]["cine"], encoder.input)], batch_size)
    methods = []
    for method in METHODS:
        try:
            encoder.attention(clips, method, sentence=sentence)
            methods.append(method)
        except NoMapError as error:
            log.info("no map %r: %s", method, error.what)
    return methods


def _batch(clips: Sequence[np.ndarray], batch_size: int) -> np.ndarray:
    """Clips `[batch_size, t, h, w]`, padded, so that one program serves all."""
    return np.pad(np.stack(clips), ((0, batch_size - len(clips)), (0, 0), (0, 0), (0, 0)))


def _look(
    encoders: Sequence[Encoder],
    methods: Sequence[str],
    cohort: Cohort,
    rows: Sequence[int],
    found: _Found,
    *,
    sentence: str,
    batch_size: int,
) -> None:
    """Adds a batch of cines to what was found."""
    records = [cohort.source[row] for row in rows]
    contract = encoders[0].input
    clips = _batch([prepare_clip(r["cine"], contract) for r in records], batch_size)
    masks, annotated = zip(*(prepare_mask(r, contract) for r in records), strict=True)
    masks, annotated = np.stack(masks), np.stack(annotated)
    centred, areas = share_inside(centre_map(masks.shape), masks, annotated)
    found.areas.update(zip(rows, areas.tolist(), strict=True))
    for method in methods:
        found.add("centre", method, rows, centred)
    for encoder in encoders:
        for method in methods:
            maps = encoder.attention(clips, method, sentence=sentence)[: len(rows)]
            found.add(encoder.name, method, rows, share_inside(maps, masks, annotated)[0])
            for row, one in zip(rows, maps, strict=True):
                if row in found.maps:
                    found.maps[row][encoder.name, method] = one


def _drawn_rows(members: Sequence[Study], count: int) -> dict[int, tuple[Study, str]]:
    """Row of the index -> its study and view: the middle cine of each view of some studies."""
    spread = np.unique(np.linspace(0, len(members) - 1, min(count, len(members))).astype(int))
    drawn = {}
    for study in (members[i] for i in spread):
        for view in VIEWS:
            of_view = [r for r, v in zip(study.rows, study.views, strict=True) if v == view]
            if of_view:
                drawn[of_view[len(of_view) // 2]] = (study, view)
    return drawn


def _study_means(cohort: Cohort, by_row: Mapping[int, float]) -> np.ndarray:
    """Mean over each study's cines that show heart, NaN without one: `[n]`."""
    means = []
    for study in cohort.members:
        values = np.array([by_row[row] for row in study.rows])
        known = values[np.isfinite(values)]
        means.append(known.mean() if len(known) else np.nan)
    return np.array(means)


def _predictions(cohort: Cohort, found: _Found, evaluator: str) -> list[Predictions]:
    area = _study_means(cohort, found.areas)
    by_key = {key: _study_means(cohort, rows) for key, rows in found.shares.items()}
    # The model comes first in a table, what needs no network last.
    fixed = {key: by_key.pop(key) for key in list(by_key) if key[0] == "centre"}
    by_key |= fixed | {("trivial", method): area for _, method in fixed}
    return [
        Predictions(
            evaluator=evaluator,
            encoder=encoder,
            task=f"heart_{method}",
            kind="share",
            patient_id=cohort.patient_id,
            study_id=cohort.study_id,
            target=area,
            prediction=share,
        ).known()
        for (encoder, method), share in by_key.items()
    ]


def _figures(
    cohort: Cohort,
    encoder: Encoder,
    drawn: Mapping[int, tuple[Study, str]],
    found: _Found,
) -> dict[str, bytes]:
    """A sheet and a moving cine of each drawn row, named by its study and view."""
    figures = {}
    for row, (study, view) in drawn.items():
        record = cohort.source[row]
        mask, annotated = prepare_mask(record, encoder.input)
        name = f"{study.study_id}_{view}"
        overlay = overlays.Overlay(
            title=f"study {study.study_id[:8]}, {view.upper()}",
            clip=prepare_clip(record["cine"], encoder.input),
            maps=found.maps[row],
            shares={key: found.shares[key][row] for key in found.maps[row]},
            area=found.areas[row],
            mask=mask > 0,
            annotated=annotated,
        )
        figures[f"{name}.png"] = overlays.sheet(overlay)
        figures[f"{name}.webp"] = overlays.moving(overlay, encoder.name)
    return figures
