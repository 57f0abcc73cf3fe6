"""Linear probe: what a linear model reads from frozen features.

Features are standardised with the training patients' statistics. The penalty of each task is chosen
on the validation patients (log-loss; absolute error for regression), then the model is fitted once
more with that penalty on training and validation patients together. Test patients are only scored.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax

from cmrjax.core.errors import UserError
from cmrjax.evals import metrics, plots
from cmrjax.evals.base import Result
from cmrjax.evals.baselines import trivial_prediction
from cmrjax.evals.predictions import Predictions

LOGISTIC_L2 = tuple(float(x) for x in np.logspace(-3, 1, 9))
RIDGE_L2 = tuple(float(x) for x in np.logspace(-4, 3, 15))
SPLITS = ("train", "val", "test")
_ITERATIONS, _TOLERANCE, _STALLED = 300, 5e-4, 1e-7


@dataclass(frozen=True)
class ProbeData:
    """Features and labels of the three splits, the rows in the order train, validation, test.

    Args:
        features: `[n, d]`.
        split: `[n]` of 'train', 'val', 'test'.
        labels: task -> `[n]` float, NaN unknown.
        patient_id: `[n]`.
        study_id: `[n]`.
    """

    features: np.ndarray
    split: np.ndarray
    labels: Mapping[str, np.ndarray]
    patient_id: np.ndarray
    study_id: np.ndarray


def standardise(features: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Zero mean and unit variance over the training rows; constant features become 0.

    Args:
        features: `[n, d]`.
        train: bool `[n]`.
    """
    x = np.asarray(features, np.float64)
    mean, std = x[train].mean(axis=0), x[train].std(axis=0)
    return (x - mean) / np.where(std > 1e-8 * (1 + np.abs(mean)), std, np.inf)


def in_span(x: np.ndarray, fit: np.ndarray) -> np.ndarray:
    """Features `[n, d]` in an orthonormal basis of the span of the rows to fit, `[n, r <= d]`.

    A penalised linear model has no weight outside of that span, so with more features than
    patients this is the same model, solved in fewer dimensions.
    """
    _, _, axes = np.linalg.svd(x[fit], full_matrices=False)
    return x @ axes.T


def _minimise(loss: Callable[[jax.Array], jax.Array], start: jax.Array) -> jax.Array:
    """L-BFGS until the gradient is small or float32 sees no more decrease; `vmap` and `jit` run it.

    Under `vmap` all problems go on until the last is done, so a stalled line search must end one.
    """
    search = optax.scale_by_backtracking_linesearch(max_backtracking_steps=8, store_grad=True)
    solver = optax.lbfgs(memory_size=10, linesearch=search)
    value_and_grad = optax.value_and_grad_from_state(loss)

    def step(carry):
        theta, state, count, previous, _, _ = carry
        value, grad = value_and_grad(theta, state=state)
        update, state = solver.update(grad, state, theta, value=value, grad=grad, value_fn=loss)
        theta = jnp.asarray(optax.apply_updates(theta, update))
        return theta, state, count + 1, value, previous - value, jnp.linalg.norm(grad)

    def unfinished(carry):
        _, _, count, _, decrease, slope = carry
        going = (slope > _TOLERANCE) & (decrease > _STALLED)
        return (count < 2) | ((count < _ITERATIONS) & going)

    inf = jnp.asarray(jnp.inf, start.dtype)
    carry = (start, solver.init(start), 0, inf, inf, inf)
    return jax.lax.while_loop(unfinished, step, carry)[0]


def _penalty(theta: jax.Array, l2: jax.Array) -> jax.Array:
    return 0.5 * l2 * jnp.sum(jnp.square(theta[..., :-1]))  # the last entry is the intercept


def _logits(x: jax.Array, theta: jax.Array) -> jax.Array:
    product = jnp.matmul(x, theta[..., :-1].T, precision="highest")
    return product + theta[..., -1]


def _principal_axes(x: jax.Array, weight: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Variances `[d]` and axes `[d, d]` of features `[n, d]` under case weights `[n]`.

    In these axes, each scaled by the curvature that a log-loss has at zero, every direction is
    about equally steep: L-BFGS then takes tens of steps where correlated features cost hundreds.
    """
    covariance = jnp.matmul((x * weight[:, None]).T, x, precision="highest")
    variance, axes = jnp.linalg.eigh(covariance)
    return jnp.maximum(variance, 0.0), axes


def _scale(variance: jax.Array, penalty: jax.Array) -> jax.Array:
    """What one unit of each axis, and of the intercept, stands for: `[d + 1]`."""
    return jnp.append(jax.lax.rsqrt(0.25 * variance + penalty), 2.0)


def _rotated_back(theta: jax.Array, axes: jax.Array) -> jax.Array:
    slopes = jnp.matmul(theta[..., :-1], axes.T, precision="highest")
    return jnp.concatenate([slopes, theta[..., -1:]], axis=-1)


@jax.jit
def fit_logistic(x: jax.Array, y: jax.Array, weight: jax.Array, l2: jax.Array) -> jax.Array:
    """Logistic regressions of every task, each under every one of its penalties, at once.

    Args:
        x: `[n, d]`.
        y: `[k, n]` of 0 and 1.
        weight: `[k, n]`; each task's sum to 1 over the cases to fit, 0 elsewhere.
        l2: `[k, g]`; the loss is mean log-loss + l2/2 |theta|^2, the intercept left free.

    Returns:
        `[k, g, d + 1]`, the intercept last.
    """
    variance, axes = _principal_axes(x, weight.mean(axis=0))
    rotated = jnp.matmul(x, axes, precision="highest")

    def one(y_task, weight_task, penalty):
        scale = _scale(variance, penalty)

        def loss(scaled):
            theta = scaled * scale
            z = _logits(rotated, theta)
            value = jnp.sum(weight_task * (jax.nn.softplus(z) - y_task * z))
            return value + _penalty(theta, penalty)

        return scale * _minimise(loss, jnp.zeros(x.shape[1] + 1, x.dtype))

    over_l2 = jax.vmap(one, in_axes=(None, None, 0))
    theta = jax.vmap(over_l2)(y, weight, l2)
    return _rotated_back(theta, axes)


@jax.jit
def fit_softmax(x: jax.Array, y: jax.Array, weight: jax.Array, l2: jax.Array) -> jax.Array:
    """Multinomial regressions of one task under every penalty.

    Args:
        x: `[n, d]`.
        y: one-hot `[n, k]`.
        weight: `[n]`.
        l2: `[g]`.

    Returns:
        `[g, k, d + 1]`.
    """
    variance, axes = _principal_axes(x, weight)
    rotated = jnp.matmul(x, axes, precision="highest")

    def one(penalty):
        scale = _scale(variance, penalty)

        def loss(scaled):
            theta = scaled * scale
            log_p = jax.nn.log_softmax(_logits(rotated, theta), axis=-1)
            value = -jnp.sum(weight * jnp.sum(y * log_p, axis=-1))
            return value + _penalty(theta, penalty)

        return scale * _minimise(loss, jnp.zeros((y.shape[1], x.shape[1] + 1), x.dtype))

    return _rotated_back(jax.vmap(one)(l2), axes)


def fit_ridge(x: np.ndarray, y: np.ndarray, l2: Sequence[float]) -> np.ndarray:
    """Ridge regression in closed form, for every penalty from one decomposition.

    Args:
        x: `[n, d]`.
        y: `[n]`.
        l2: `[g]`; the loss is mean squared error + l2 |theta|^2, the intercept left free.

    Returns:
        `[g, d + 1]`, the intercept last.
    """
    mean_x, mean_y = x.mean(axis=0), y.mean()
    u, s, vt = np.linalg.svd(x - mean_x, full_matrices=False)
    projected = u.T @ (y - mean_y)
    shrink = s / (np.square(s) + len(x) * np.asarray(l2)[:, None])
    theta = (shrink * projected) @ vt
    return np.c_[theta, mean_y - theta @ mean_x]


def _weights(fit: np.ndarray, known: np.ndarray) -> np.ndarray:
    chosen = (fit & known).astype(np.float32)
    return chosen / max(chosen.sum(axis=-1).max(), 1.0)


def _nll(y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Mean log-loss of logits `[g, n]`."""
    return np.mean(np.logaddexp(0, z) - y * z, axis=-1)


def _choose(score: np.ndarray) -> int:
    """The lowest validation loss `[g]`; the stronger penalty where two are equal."""
    return int(len(score) - 1 - np.argmin(score[::-1]))


def probe_binary(data: ProbeData, tasks: Sequence[str]) -> dict[str, np.ndarray]:
    """Probabilities `[n]` of every binary task.

    A task without a known label in training gets .5; one without a known label in validation takes
    the middle of the grid.
    """
    x = standardise(data.features, data.split == "train")
    x = in_span(x, data.split != "test").astype(np.float32)
    y = np.stack([data.labels[t] for t in tasks]).astype(np.float32)
    known, y = np.isfinite(y), np.nan_to_num(y)
    grid = np.array(LOGISTIC_L2, np.float32)

    def fit(rows: np.ndarray, l2: np.ndarray) -> np.ndarray:
        weight = np.stack([_weights(rows, k) for k in known])
        theta = np.asarray(fit_logistic(x, y, weight, l2), np.float64)
        return np.einsum("nd,kgd->kgn", np.c_[x, np.ones(len(x))], theta)

    tried = fit(data.split == "train", np.tile(grid, (len(tasks), 1)))
    best = np.full(len(tasks), len(grid) // 2)
    for k in range(len(tasks)):
        if (val := (data.split == "val") & known[k]).any():
            best[k] = _choose(_nll(y[k, val], tried[k][:, val]))
    final = fit(data.split != "test", grid[best][:, None])[:, 0]
    return {task: 1 / (1 + np.exp(-z)) for task, z in zip(tasks, final, strict=True)}


def probe_multiclass(data: ProbeData, task: str, classes: int) -> np.ndarray:
    """Class probabilities `[n, k]` of one multiclass task."""
    x = standardise(data.features, data.split == "train")
    x = in_span(x, data.split != "test").astype(np.float32)
    known = np.isfinite(data.labels[task])
    y = np.nan_to_num(data.labels[task]).astype(int)
    onehot = np.eye(classes, dtype=np.float32)[y]
    l2 = np.array(LOGISTIC_L2, np.float32)

    def fit(rows: np.ndarray) -> np.ndarray:
        theta = np.asarray(fit_softmax(x, onehot, _weights(rows, known), l2), np.float64)
        z = np.einsum("nd,gkd->gnk", np.c_[x, np.ones(len(x))], theta)
        return z - np.logaddexp.reduce(z, axis=-1, keepdims=True)

    tried, final = fit(data.split == "train"), fit(data.split != "test")
    val = np.flatnonzero((data.split == "val") & known)
    best = _choose(-tried[:, val, y[val]].mean(axis=1)) if len(val) else len(l2) // 2
    return np.exp(final[best])


def probe_regression(data: ProbeData, task: str) -> np.ndarray:
    """Predictions `[n]` of one regression task, in its own unit."""
    train = data.split == "train"
    x = standardise(data.features, train)
    known = np.isfinite(data.labels[task])
    y = data.labels[task].astype(np.float64)
    fit, val = train & known, (data.split == "val") & known
    if not fit.any():
        return np.zeros(len(x))
    design, best = np.c_[x, np.ones(len(x))], len(RIDGE_L2) // 2
    if val.any():
        tried = fit_ridge(x[fit], y[fit], RIDGE_L2) @ design[val].T
        best = _choose(np.mean(np.abs(tried - y[val]), axis=-1))
    refit = fit | val
    return design @ fit_ridge(x[refit], y[refit], [RIDGE_L2[best]])[0]


def probe(
    data: ProbeData, label_tasks: Mapping[str, Mapping], *, encoder: str, evaluator: str
) -> list[Predictions]:
    """Probes one encoder on every task.

    Args:
        data: features and labels.
        label_tasks: task -> `{"kind", "classes"}`.
        encoder: name for the predictions.
        evaluator: name for the predictions.

    Returns:
        Predictions of the test studies; a multiclass task gives the class called and, for each
        class, `task:class` with its probability.
    """
    test = data.split == "test"

    def predictions(task: str, kind: str, target: np.ndarray, values: np.ndarray) -> Predictions:
        ids = (data.patient_id[test], data.study_id[test])
        return Predictions(evaluator, encoder, task, kind, *ids, target[test], values[test]).known()

    binary = [t for t, spec in label_tasks.items() if spec["kind"] == "binary"]
    found = probe_binary(data, binary) if binary else {}
    out = [predictions(t, "probability", data.labels[t], found[t]) for t in binary]
    for task, spec in label_tasks.items():
        y = data.labels[task]
        if spec["kind"] == "regression":
            out.append(predictions(task, "regression", y, probe_regression(data, task)))
        elif spec["kind"] == "multiclass":
            p = probe_multiclass(data, task, len(spec["classes"]))
            out += multiclass_predictions(predictions, task, spec["classes"], y, p)
    return out


def multiclass_predictions(
    build: Callable[[str, str, np.ndarray, np.ndarray], Predictions],
    task: str,
    classes: Sequence[str],
    y: np.ndarray,
    p: np.ndarray,
) -> list[Predictions]:
    """The class called, and one class against the rest for each class."""
    out = [build(task, "multiclass", y, np.argmax(p, axis=1).astype(float))]
    for k, name in enumerate(classes):
        target = np.where(np.isfinite(y), y == k, np.nan)
        out.append(build(f"{task}:{name}", "probability", target, p[:, k]))
    return out


def trivial(
    data: ProbeData, label_tasks: Mapping[str, Mapping], *, evaluator: str
) -> list[Predictions]:
    """The prevalence, the commonest class or the mean of the training patients, for everyone."""
    test = data.split == "test"
    ids = (data.patient_id[test], data.study_id[test])

    def predictions(task: str, kind: str, target: np.ndarray, values: np.ndarray) -> Predictions:
        return Predictions(
            evaluator, "trivial", task, kind, *ids, target[test], values[test]
        ).known()

    out = []
    for task, spec in label_tasks.items():
        y = data.labels[task]
        p = trivial_prediction(y[data.split == "train"], spec, n=len(y))
        if spec["kind"] == "multiclass":
            out += multiclass_predictions(predictions, task, spec["classes"], y, p)
        else:
            kind = "probability" if spec["kind"] == "binary" else "regression"
            out.append(predictions(task, kind, y, p))
    return out


def evaluate(
    features: Mapping[str, ProbeData],
    label_tasks: Mapping[str, Mapping],
    how: metrics.Resampling,
    *,
    evaluator: str,
) -> Result:
    """Probes every encoder on the same studies.

    Args:
        features: encoder name -> its data; the first is the one that is evaluated.
        label_tasks: task -> `{"kind", "classes"}`.
        how: the resampling.
        evaluator: name for rows and predictions.

    Raises:
        UserError: no task, or a split without a study.
    """
    first = next(iter(features.values()))
    if not label_tasks:
        raise UserError("the dataset has no labels to probe", where="config.tasks")
    for split in ("train", "test"):
        if not (first.split == split).any():
            raise UserError(f"no study in split {split!r}", where="config.data")
    predictions = []
    for name, data in features.items():
        predictions += probe(data, label_tasks, encoder=name, evaluator=evaluator)
    predictions += trivial(first, label_tasks, evaluator=evaluator)
    return Result(
        rows=metrics.all_rows(predictions, how),
        predictions=predictions,
        figures=plots.figures(predictions),
    )
