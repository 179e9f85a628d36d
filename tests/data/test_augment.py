"""Batches: cut inside the valid part, turned, scaled and made noisy as the settings say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from imujax.data import augment


def settings(**changes) -> ConfigDict:
    return ConfigDict(augment.NO_AUGMENTATION | changes)


def test_batches_are_cut_inside_the_valid_part_and_rotated_alike():
    count, span = 64, 48
    ramp = np.arange(span, dtype=np.float32)[None, :, None] + 100 * np.arange(count)[:, None, None]
    data = {
        "acc": np.repeat(ramp, 3, 2).astype(np.float32),
        "gyr": np.repeat(2 * ramp, 3, 2),
        "length": np.full(count, 40, np.int32),
        "window": np.arange(count),
    }
    data = {
        name: jnp.asarray(value, jnp.float32 if name in ("acc", "gyr") else jnp.int32)
        for name, value in data.items()
    }
    scale = {"acc": {"mean": 0.0, "sd": 1.0}, "gyr": {"mean": 1.0, "sd": 2.0}}
    rows, key = jnp.arange(count), jax.random.key(0)
    batch = augment.cut_batch(data, rows, key, settings(window=32), scale)
    acc = np.asarray(batch["acc"])
    begin = acc[:, 0, 0] - 100 * np.arange(count)
    assert begin.min() >= 0 and begin.max() <= 8 and len(set(begin)) == 9
    np.testing.assert_array_equal(np.diff(acc, axis=1), 1)
    np.testing.assert_allclose(batch["gyr"], (2 * acc - 1) / 2)
    turned = augment.cut_batch(data, rows, key, settings(window=32, rotation=30.0), scale)
    np.testing.assert_allclose(
        np.linalg.norm(turned["acc"], axis=-1), np.linalg.norm(acc, axis=-1), rtol=1e-5
    )
    assert np.abs(np.asarray(turned["acc"]) - acc).max() > 1


def test_gain_and_noise_are_those_of_the_settings_and_of_the_key():
    count, span = 400, 64
    acc = np.ones((count, span, 3), np.float32)
    data = {"acc": acc, "gyr": 3 * acc, "length": np.full(count, span, np.int32)}
    scale = {"acc": {"mean": 1.0, "sd": 2.0}, "gyr": {"mean": 3.0, "sd": 4.0}}

    def change(seed=0, **changes):
        batch = augment.cut_batch(
            data, jnp.arange(count), jax.random.key(seed), settings(window=span, **changes), scale
        )
        return np.asarray(batch["acc"]) * 2, np.asarray(batch["gyr"]) * 4 / 3  # over the signal

    acc, gyr = change(gain=0.1)
    factors = np.stack([acc[:, 0, 0], gyr[:, 0, 0]])
    assert np.ptp(acc, axis=(1, 2)).max() < 1e-6  # one factor for a sample and modality
    assert 0.095 < factors.max() <= 0.1 + 1e-6 and -0.095 > factors.min() >= -0.1 - 1e-6
    assert abs(factors.mean()) < 0.01 and abs(factors.std() - 0.1 / np.sqrt(3)) < 0.003
    assert abs(np.corrcoef(factors)[0, 1]) < 0.2
    acc, gyr = change(noise=(0.5, 0.06))
    assert acc.std() == pytest.approx(0.5, rel=0.02) and gyr.std() == pytest.approx(0.02, rel=0.02)
    assert abs(np.corrcoef(acc.ravel(), gyr.ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(acc[:, 1:].ravel(), acc[:, :-1].ravel())[0, 1]) < 0.02  # white
    np.testing.assert_array_equal(change(noise=(0.5, 0.06))[0], acc)
    assert (change(seed=1, noise=(0.5, 0.06))[0] != acc).any()
    assert np.abs(change(**augment.NO_AUGMENTATION)).max() == 0


def test_rotations_are_rotations_of_at_most_the_angle():
    from scipy.spatial.transform import Rotation

    matrices = np.asarray(augment.random_rotations(jax.random.key(0), 500, 30.0), np.float64)
    angles = np.rad2deg(np.linalg.norm(Rotation.from_matrix(matrices).as_rotvec(), axis=1))
    product = matrices @ matrices.transpose(0, 2, 1)
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(3), product.shape), atol=1e-5)
    assert angles.max() <= 30.001 and angles.max() > 27 and abs(angles.mean() - 15) < 2
