"""The losses against a few lines of float64 NumPy written as loops, and laws they must keep."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imujax.objectives import contrastive, log_sums, relations

LOSSES = {"symmetric": contrastive.symmetric_loss, "one_sided": contrastive.one_sided_loss}


def embeddings(count=24, size=8, seed=0):
    rng = np.random.default_rng(seed)
    pair = rng.normal(size=(2, count, size))
    return pair / np.linalg.norm(pair, axis=-1, keepdims=True)


def brute_force_symmetric(a, g, window, temperature):
    total = 0.0
    for first, second in ((a, g), (g, a)):
        for i in range(len(a)):
            positive = np.exp(first[i] @ second[i] / temperature)
            negatives = sum(
                np.exp(first[i] @ second[j] / temperature)
                for j in range(len(a))
                if window[j] != window[i]
            )
            total += -np.log(positive / (positive + negatives))
    return total / (2 * len(a))


def brute_force_one_sided(a, g, window, temperature):
    total = 0.0
    for i in range(len(a)):
        negatives = [a[i] @ g[j] / temperature for j in range(len(a)) if window[j] != window[i]]
        total += np.log(np.sum(np.exp(negatives))) - a[i] @ g[i] / temperature
    return total / len(a)


@pytest.mark.parametrize("name", ["symmetric", "one_sided"])
@pytest.mark.parametrize("sensors", [1, 3])
def test_loss_equals_brute_force(name, sensors):
    a, g = embeddings()
    window = np.arange(len(a)) // sensors
    expected = globals()[f"brute_force_{name}"](a, g, window, 0.1)
    with jax.enable_x64(True):
        loss = LOSSES[name](jnp.asarray(a), jnp.asarray(g), {"window": window}, 0.1)
        assert float(loss) == pytest.approx(expected, rel=1e-12)
    single = LOSSES[name](
        a.astype(np.float32), g.astype(np.float32), {"window": jnp.asarray(window)}, 0.1
    )
    assert float(single) == pytest.approx(expected, rel=2e-6)


def test_chance_of_the_studys_batch():
    """256 windows of 17 sensors, embeddings all alike: the loss is ln 4335 (STUDY section 4)."""
    z = jnp.ones((256 * 17, 2)) / np.sqrt(2)
    window = jnp.arange(256 * 17) // 17
    assert float(contrastive.one_sided_loss(z, z, {"window": window}, 0.1)) == pytest.approx(
        np.log(4335), abs=1e-4
    )


def test_symmetric_is_symmetric_and_one_sided_is_not():
    a, g = embeddings(seed=1).astype(np.float32)
    ids = {"window": jnp.arange(len(a))}
    both = [float(contrastive.symmetric_loss(x, y, ids, 0.1)) for x, y in ((a, g), (g, a))]
    assert both[0] == pytest.approx(both[1], rel=1e-6)
    swapped = [float(contrastive.one_sided_loss(x, y, ids, 0.1)) for x, y in ((a, g), (g, a))]
    assert abs(swapped[0] - swapped[1]) > 1e-3


def test_gradient_pulls_partners_together_and_skips_the_same_window():
    a, g = (jnp.asarray(z, jnp.float32) for z in embeddings(count=6))
    window = jnp.array([0, 0, 1, 1, 2, 2])
    pull = jax.grad(lambda x: contrastive.one_sided_loss(a, x, {"window": window}, 0.1))(g)
    # Anchor 0 must not feel g[1], its neighbour in the window: only its own row and others' do.
    alone = jax.jacobian(
        lambda x: jax.nn.logsumexp(
            jnp.where(contrastive.different_windows(window)[0], (a @ x.T / 0.1)[0], -jnp.inf)
        )
    )(g)
    assert np.abs(alone[:2]).max() == 0 and np.abs(alone[2:]).min(axis=1).max() > 0
    step = contrastive.one_sided_loss(a, g - 1e-3 * pull, {"window": window}, 0.1)
    assert step < contrastive.one_sided_loss(a, g, {"window": window}, 0.1)


@pytest.mark.parametrize("form", ["dense", "tiled"])
def test_an_anchor_without_a_negative_is_left_out(form, monkeypatch):
    """Of three windows 4 s apart the middle one is near to both others; slopes by differences."""
    if form == "tiled":
        monkeypatch.setattr(log_sums, "DENSE_LIMIT", 1)
    a, g = embeddings(count=3)
    ids = {"window": np.arange(3), "recording": np.zeros(3, int), "start": np.array([0.0, 4, 8])}
    related = relations.resolve({"near": 0.0, "seconds": 5.0})

    def loss(a):
        return contrastive.one_sided_loss(a, jnp.asarray(g), ids, 0.1, related)

    def of_the_ends(a):  # each has the other for its only negative
        return np.mean([a[i] @ (g[j] - g[i]) / 0.1 for i, j in ((0, 2), (2, 0))])

    with jax.enable_x64(True):
        value, slope = jax.value_and_grad(loss)(jnp.asarray(a))
    assert float(value) == pytest.approx(of_the_ends(a), rel=1e-12)
    step = 1e-6 * np.eye(a.size).reshape(a.size, *a.shape)
    expected = [(of_the_ends(a + h) - of_the_ends(a - h)) / 2e-6 for h in step]
    np.testing.assert_allclose(slope, np.reshape(expected, a.shape), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_of_one_window_has_finite_losses_and_monitors(name):
    a, g = embeddings(count=4).astype(np.float32)
    window = jnp.zeros(4, int)
    value, slopes = jax.value_and_grad(LOSSES[name], argnums=(0, 1, 3))(
        a, g, {"window": window}, 0.1
    )
    assert value == pytest.approx(0, abs=1e-6)
    for slope in slopes:
        np.testing.assert_allclose(slope, 0, atol=1e-5)
    monitors = contrastive.embedding_metrics(a, g, window)
    assert all(np.isfinite(value) for value in monitors.values())
    assert monitors["uniformity"] == 0


def test_monitors_of_perfect_and_collapsed_embeddings():
    a, _ = embeddings(count=64, size=16)
    window = jnp.arange(64)
    perfect = {k: float(v) for k, v in contrastive.embedding_metrics(a, a, window).items()}
    assert perfect["retrieval_acc"] == perfect["retrieval_gyr"] == 1
    assert perfect["alignment"] == pytest.approx(0, abs=1e-6)
    singular = np.linalg.svd(a - a.mean(0), compute_uv=False)
    share = singular / singular.sum()
    assert perfect["effective_rank"] == pytest.approx(
        np.exp(-(share * np.log(share)).sum()), rel=1e-3
    )
    distance = ((a[:, None] - a[None]) ** 2).sum(-1)[~np.eye(64, dtype=bool)]
    assert perfect["uniformity"] == pytest.approx(np.log(np.exp(-2 * distance).mean()), rel=1e-5)

    same = np.repeat(a[:1], 64, axis=0)
    collapsed = {k: float(v) for k, v in contrastive.embedding_metrics(same, same, window).items()}
    assert collapsed["retrieval_acc"] == 0
    assert collapsed["uniformity"] == pytest.approx(0, abs=1e-5)
    assert collapsed["effective_rank"] < 1.5 < perfect["effective_rank"]
