"""Log-sums over all pairs: every form against SciPy in float64, and what it costs in memory."""

import math
import pathlib
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from imujax.objectives import log_sums, relations
from imujax.runtime import sharding

COUNT, SIZE, TEMPERATURE = 88, 8, 0.1
MIXED = {"window": 0.5, "near": 0.3, "seconds": 6.0, "subject": 0.7, "other_sensor": 2.0}
FORMS = [("dense", 1, 0), ("tiled", 1, 16), ("tiled", 1, 50), ("ring", 2, 16), ("ring", 4, 7)]


def draw_batch(count=COUNT, seed=0):
    """Embeddings of length one [2, B, D] and ids, all in float64."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(2, count, SIZE))
    window = np.arange(count) // 3
    ids = {
        "window": window,
        "recording": window // 5,
        "subject": window // 10,
        "sensor": np.arange(count) % 3,
        "start": window * 2.0,
    }
    return z / np.linalg.norm(z, axis=-1, keepdims=True), ids


def sums_by_numpy(z, ids, spec, by_rows, by_columns):
    """rows, columns and the slopes by z_acc, z_gyr and temperature, from the matrix itself."""
    weights = {"window": 0.0} | dict(spec.related)
    w = np.ones((len(z[0]), len(z[0])))
    for name in ("window", "recording", "subject"):
        w[ids[name][:, None] == ids[name][None]] *= weights[name]
    near = np.abs(ids["start"][:, None] - ids["start"][None]) < weights["seconds"]
    w[near & (ids["recording"][:, None] == ids["recording"][None])] *= weights["near"]
    w[ids["sensor"][:, None] != ids["sensor"][None]] *= weights["other_sensor"]
    np.fill_diagonal(w, float(spec.positive))
    s = z[0] @ z[1].T / TEMPERATURE
    rows, columns = (logsumexp(s, axis=axis, b=w) for axis in (1, 0))
    slope = by_rows[:, None] * w * np.exp(s - rows[:, None])
    if spec.columns:
        slope = slope + by_columns[None, :] * w * np.exp(s - columns[None, :])
    slopes = (
        slope @ z[1] / TEMPERATURE,
        slope.T @ z[0] / TEMPERATURE,
        -(slope * s).sum() / TEMPERATURE,
    )
    return rows, columns, slopes


@pytest.mark.parametrize(("form", "devices", "tile"), FORMS)
@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("related", [{}, MIXED])
def test_every_form_equals_numpy(form, devices, tile, both, related):
    z, ids = draw_batch()
    spec = log_sums.SumSpec(positive=both, columns=both, related=relations.resolve(related))
    by_rows, by_columns = np.random.default_rng(1).normal(size=(2, COUNT))
    mesh = sharding.make_mesh("data", devices) if form == "ring" else None

    def total(z_acc, z_gyr, temperature):
        rows, columns = log_sums.pair_log_sums(
            z_acc, z_gyr, ids, temperature, spec, mesh, form, tile
        )
        value = (by_rows * rows).sum() + ((by_columns * columns).sum() if both else 0)
        return value, (rows, columns)

    with jax.enable_x64(True):
        compiled = jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True))
        (_, sums), slopes = compiled(*z, TEMPERATURE)
        assert slopes[0].dtype == np.float64
    rows, columns, expected = sums_by_numpy(z, ids, spec, by_rows, by_columns)
    np.testing.assert_allclose(sums[0], rows, rtol=1e-12)
    if both:
        np.testing.assert_allclose(sums[1], columns, rtol=1e-12)
    for slope, exact in zip(slopes, expected, strict=True):
        np.testing.assert_allclose(slope, exact, rtol=1e-10, atol=1e-10)


def test_the_ring_on_eight_devices():
    """The same numbers; in a process of its own, since this one has fewer devices."""
    script = """
import os
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
import jax
jax.config.update("jax_enable_x64", True)
import test_log_sums
test_log_sums.test_every_form_equals_numpy("ring", 8, 4, True, test_log_sums.MIXED)
print("equal on", len(jax.devices()))
"""
    here = pathlib.Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=here, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "equal on 8", done.stderr[-2000:]


def test_single_precision_at_a_sharp_temperature():
    """Similarities reach 100 and their exponentials overflow: running maxima keep them apart."""
    z, ids = draw_batch()
    z[1] = z[0]
    spec = log_sums.SumSpec(positive=True, columns=True)
    rows, columns, _ = sums_by_numpy(z * np.sqrt(10), ids, spec, *np.zeros((2, COUNT)))
    single = z.astype(np.float32)
    for form in ("dense", "tiled"):
        sums = log_sums.pair_log_sums(*single, ids, 0.01, spec, None, form, 16)
        np.testing.assert_allclose(sums[0], rows, rtol=2e-6)
        np.testing.assert_allclose(sums[1], columns, rtol=2e-6)


@pytest.mark.parametrize("form", ["dense", "tiled"])
def test_an_anchor_without_negatives_has_no_slope(form):
    z, ids = draw_batch()
    z = z.astype(np.float32)
    ids["window"] = np.zeros(COUNT, int)
    spec = log_sums.SumSpec(positive=False, columns=True)

    def finite_part(z_acc, z_gyr):
        sums = log_sums.pair_log_sums(z_acc, z_gyr, ids, 0.1, spec, None, form, 16)
        return sum(jnp.where(jnp.isfinite(x), x, 0).sum() for x in sums), sums

    slopes, sums = jax.grad(finite_part, argnums=(0, 1), has_aux=True)(*z)
    assert (np.asarray(sums) == -np.inf).all()
    np.testing.assert_array_equal(slopes, 0)


def test_the_form_follows_the_size_of_the_batch():
    spec = log_sums.SumSpec(positive=True, columns=True)

    def text(count, mesh):
        z = jax.ShapeDtypeStruct((count, 4), jnp.float32)
        ids = jax.ShapeDtypeStruct((count,), jnp.int32)
        program = jax.jit(
            lambda a, g, w: log_sums.pair_log_sums(a, g, {"window": w}, 0.1, spec, mesh)
        )
        return program.lower(z, z, ids).as_text()

    large, four = 2 * log_sums.DENSE_LIMIT, sharding.make_mesh("data", 4)
    assert "while" not in text(log_sums.DENSE_LIMIT, four)
    assert "while" in text(large, None) and "collective_permute" not in text(large, None)
    assert "collective_permute" in text(large, four)


def memory(count: int, devices: int):
    """Bytes of temporaries of loss and slopes on each device, and the compiled text."""
    mesh = sharding.make_mesh("data", devices)
    spec = log_sums.SumSpec(positive=True, columns=True)

    def total(z_acc, z_gyr, window):
        sums = log_sums.pair_log_sums(z_acc, z_gyr, {"window": window}, 0.1, spec, mesh)
        return sum(x.sum() for x in sums)

    def abstract_array(shape, kind):
        return jax.ShapeDtypeStruct(shape, kind, sharding=sharding.sharded(mesh))

    z = abstract_array((count, 128), jnp.float32)
    compiled = jax.jit(jax.grad(total, argnums=(0, 1)))
    compiled = compiled.lower(z, z, abstract_array((count,), jnp.int32)).compile()
    return compiled.memory_analysis().temp_size_in_bytes, compiled.as_text()


@pytest.mark.parametrize("devices", [1, 4])
def test_memory_is_linear_in_the_batch_up_to_a_million(devices):
    counts = [2**17, 2**19, 2**20]
    programs = [memory(count, devices) for count in counts]
    least = 128 * 4 * 2**20 / devices  # one array of embeddings, bytes
    for count, (temporaries, text) in zip(counts, programs, strict=True):
        largest = max(
            math.prod(map(int, shape.split(","))) for shape in re.findall(r"f32\[([\d,]+)\]", text)
        )
        assert largest <= count * 128, "an array larger than the embeddings: is it B x B?"
        assert temporaries < 6 * least * count / 2**20 + 2**26
    slopes = np.diff([temporaries for temporaries, _ in programs]) / np.diff(counts)
    assert slopes[1] == pytest.approx(slopes[0], rel=0.1)
