"""The probes: linear layers on frozen features, fitted exactly, of one lane for each penalty.

A head acts on the features as they are given. Of numbers and curves it is ridge and gives each
label in SDs of the training labels from their mean; of classes it is logistic regression and gives
log odds.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

LOGISTIC_STEPS = 100  # of the probe of classes, for each penalty at most
FLAT = 1e-4  # the largest slope of cross entropy and penalty at which it ends
CURVE_CHUNK = 64  # windows whose samples are added up at once
CONSTANT = 1e-5  # SD over the size of a feature that is constant but for rounding
MIN_PENALTY = 4 * float(np.finfo(np.float32).eps)  # of a sum, what single precision may lose of it


def fit_probe(lane: dict[str, Any], features: jax.Array, target: jax.Array) -> dict[str, jax.Array]:
    """Fit the linear probe of a lane on frozen features, once for each penalty.

    Features are standardised with mean and SD of the lane's training examples alone, and so are the
    labels; for each target the weights w minimise mean (x w - y)^2 + penalty |w|^2, solved exactly:
    in the space of features, or in that of examples where these are fewer. The penalty is never
    below MIN_PENALTY of the summed variance of the features: single precision cannot tell a smaller
    one from none, and the solution of a batch of features that depend on each other would not be
    finite. A feature that is constant here but for rounding is left out.

    Parameters
    ----------
    lane : dict
        Of `stack_lanes`, without the leading axis: train, count, penalties [P], mean, sd [1, K].
    features : jax.Array, [N, F]
        Embeddings of all examples.
    target : jax.Array, [N, K]
        In the targets' units.

    Returns
    -------
    dict of jax.Array
        "kernel" [P, F, K] and "bias" [P, K]; the head acts on the features as they are given, and
        gives each label in SDs of the training labels from their mean.
    """
    count = lane["count"]
    valid = (jnp.arange(lane["train"].shape[0]) < count).astype(jnp.float32)[:, None]
    x, mean, sd = _standardise_features(features[lane["train"]], valid)
    y = (target[lane["train"]] - lane["mean"]) / lane["sd"] * valid
    is_wide = x.shape[1] > x.shape[0]
    gram = _dot(x, x.T) if is_wide else _dot(x.T, x)
    right = y if is_wide else _dot(x.T, y) / count

    def make_head(w):
        kernel = (_dot(x.T, w) / count if is_wide else w) / sd.T
        return {"kernel": kernel, "bias": -_dot(mean, kernel)[0]}

    return _solve_ridge(gram / count, right, lane["penalties"], make_head)


def fit_curve_probe(
    lane: dict[str, Any], features: jax.Array, target: jax.Array
) -> dict[str, jax.Array]:
    """Fit the probe of curves: one linear layer for all samples, as of `fit_probe`.

    What `fit_probe` says of examples goes here for their samples, as far as a window's length goes:
    sums run over windows, CURVE_CHUNK at a time.

    Parameters
    ----------
    lane : dict
        Of `stack_lanes`, without the leading axis: train, count, penalties [P], mean, sd [1, 1, K].
    features : jax.Array, [N, Lt, F]
        Of all examples, see towers.CurveRegressor.features.
    target : jax.Array, [N, Lt, K]
        In the targets' units, NaN beyond a window's length.

    Returns
    -------
    dict of jax.Array
        "kernel" [P, F, K] and "bias" [P, K], as of `fit_probe`.
    """
    width, outputs = lane["train"].shape[0], target.shape[-1]
    chunks = -(-width // CURVE_CHUNK)
    rows = jnp.pad(lane["train"], (0, chunks * CURVE_CHUNK - width)).reshape(chunks, CURVE_CHUNK)
    is_true = (jnp.arange(rows.size) < lane["count"]).reshape(rows.shape)

    def add_up(function):
        """The sum of function(features [n, F], labels [n, K], 1 or 0 [n, 1]) over all chunks."""

        def of_chunk(chunk):
            own, own_true = chunk
            y = (target[own] - lane["mean"]) / lane["sd"]
            inside = jnp.isfinite(y[..., :1]) & own_true[:, None, None]
            y = jnp.where(inside, y, 0.0).reshape(-1, outputs)
            return function(
                features[own].reshape(-1, features.shape[-1]), y, inside.reshape(-1, 1) * 1.0
            )

        total, _ = jax.lax.scan(
            lambda total, chunk: (jax.tree.map(jnp.add, total, of_chunk(chunk)), None),
            jax.tree.map(jnp.zeros_like, jax.eval_shape(of_chunk, (rows[0], is_true[0]))),
            (rows, is_true),
        )
        return total

    count, total = add_up(lambda x, y, one: (one.sum(), (x * one).sum(0, keepdims=True)))
    mean = total / count

    def second(x, y, one):
        x = (x - mean) * one
        return _dot(x.T, x), _dot(x.T, y)

    gram, right = add_up(second)
    sd = jnp.sqrt(jnp.diagonal(gram) / count)[None]
    sd = jnp.where(sd > CONSTANT * jnp.abs(mean), sd, jnp.inf)
    gram, right = gram / (sd * sd.T) / count, right / sd.T / count

    def make_head(w):
        kernel = w / sd.T
        return {"kernel": kernel, "bias": -_dot(mean, kernel)[0]}

    return _solve_ridge(gram, right, lane["penalties"], make_head)


def _dot(a, b):
    return jnp.matmul(a, b, precision="highest")


def _solve_ridge(gram, right, penalties, make_head):
    """Heads of the solutions of (gram + penalty) w = right, one for each of the penalties."""
    least = MIN_PENALTY * jnp.trace(gram)

    def solve(penalty):
        penalised = gram + jnp.maximum(penalty, least) * jnp.eye(gram.shape[0])
        return make_head(jax.scipy.linalg.solve(penalised, right, assume_a="pos"))

    return jax.lax.map(solve, penalties)


def _standardise_features(x, valid):
    """Features [n, F], 0 where `valid` [n, 1] is 0 and not 1, with mean and SD of each [1, F] as
    they were, infinite where one is constant."""
    count = valid.sum()
    threshold = CONSTANT * jnp.abs(x * valid).max(axis=0, keepdims=True)
    mean = (x * valid).sum(axis=0, keepdims=True) / count
    x = (x - mean) * valid
    sd = jnp.sqrt((x**2).sum(axis=0, keepdims=True) / count)
    sd = jnp.where(sd > threshold, sd, jnp.inf)
    return x / sd, mean, sd


def fit_logistic(
    lane: dict[str, Any], features: jax.Array, target: jax.Array
) -> dict[str, jax.Array]:
    """Fit the probe of classes: multinomial logistic regression, once for each penalty.

    The weights w minimise the mean cross entropy + penalty / 2 |w|^2 on features that are
    standardised as in `fit_probe`, by L-BFGS: from the largest penalty down, each from where the
    one before it ended, until no slope is above FLAT, LOGISTIC_STEPS at most.

    Parameters
    ----------
    lane, features
        As of `fit_probe`.
    target : jax.Array, [N, K]
        1 for the class of each example. Of a class a sample features are [N, Lt, F] and this is
        [N, Lt, K], NaN where there is none: every sample is an example.

    Returns
    -------
    dict of jax.Array
        "kernel" [P, F, K] and "bias" [P, K]; the head acts on the features as they are given, and
        gives log odds.
    """
    x, y = (rows[lane["train"]] for rows in (features, target))
    is_true = jnp.arange(len(x)) < lane["count"]
    is_true = is_true.reshape(-1, *(1,) * (y.ndim - 2)) & jnp.isfinite(y).all(axis=-1)
    valid = is_true.reshape(-1, 1).astype(jnp.float32)
    x, mean, sd = _standardise_features(x.reshape(-1, x.shape[-1]), valid)
    y = jnp.where(valid > 0, y.reshape(-1, y.shape[-1]), 0.0)
    optimiser = optax.lbfgs()

    def solve(w, penalty):
        def loss(w):
            logits = _dot(x, w["kernel"]) + w["bias"][None]
            entropy = (optax.softmax_cross_entropy(logits, y) * valid[:, 0]).sum() / valid.sum()
            return entropy + penalty / 2 * (w["kernel"] ** 2).sum()

        value_and_grad = optax.value_and_grad_from_state(loss)

        def take_step(carry):
            step, _, w, state = carry
            value, grad = value_and_grad(w, state=state)
            updates, state = optimiser.update(grad, state, w, value=value, grad=grad, value_fn=loss)
            slope = optax.tree.norm(optax.tree.get(state, "grad"), ord=jnp.inf)
            return step + 1, slope, optax.apply_updates(w, updates), state

        begin = 0, jnp.inf, w, optimiser.init(w)
        _, _, w, _ = jax.lax.while_loop(
            lambda carry: (carry[0] < LOGISTIC_STEPS) & (carry[1] > FLAT), take_step, begin
        )
        kernel = w["kernel"] / sd.T
        return w, {"kernel": kernel, "bias": w["bias"] - _dot(mean, kernel)[0]}

    first = {"kernel": jnp.zeros((x.shape[1], y.shape[1])), "bias": jnp.zeros(y.shape[1])}
    order = jnp.argsort(-lane["penalties"])
    _, heads = jax.lax.scan(solve, first, lane["penalties"][order])
    return jax.tree.map(lambda head: head[jnp.argsort(order)], heads)


def estimate_probe(lane, heads, features, is_class):
    """The probe's estimates for all examples, for each penalty, in the units -> [P, N, K], of
    curves [P, N, Lt, K]."""
    inner = range(1, features.ndim - 1)  # each penalty's kernel for all examples, and samples
    kernel, bias = (jnp.expand_dims(heads[name], inner) for name in ("kernel", "bias"))
    y = _dot(features[None], kernel) + jnp.expand_dims(bias, 1)
    return jax.nn.softmax(y) if is_class else y * lane["sd"][None] + lane["mean"][None]
