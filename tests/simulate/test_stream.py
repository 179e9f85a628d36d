"""Simulated people as a stream: the same from the same key, moving, and fit to train on."""

import json

import jax
import numpy as np
import pytest

from imujax import UserError, study
from imujax.configs import common, pretrain_simulated
from imujax.nets import resnet
from imujax.pretrain import encoder, loop
from imujax.simulate import body, stream


def settings(**changes):
    config = common.encoder(
        (),
        resnet.tiny("none"),
        window=48,
        batch=32,
        steps=4,
        log_every=1,
        save_every=2,
        rotation=10.0,
    )
    config.stream = {"gait": 0.5, "sensors": ("hand_r",), "windows": 2} | changes
    return config


@pytest.fixture(scope="module")
def make():
    return stream.compile_batch(settings())


@pytest.mark.slow
def test_a_batch_is_a_function_of_its_key(make):
    first, again, other = (make(jax.random.key(k)) for k in (3, 3, 4))
    for name in ("acc", "gyr", "window"):
        assert np.array_equal(first[name], again[name])
    assert first["acc"].shape == first["gyr"].shape == (32, 48, 3)
    assert np.abs(first["acc"] - other["acc"]).max() > 1
    assert (first["length"] == 48).all()


def test_people_move_as_people_do(make):
    batch = {name: np.asarray(value) for name, value in make(jax.random.key(0)).items()}
    force, rate = (np.linalg.norm(batch[name], axis=-1) for name in ("acc", "gyr"))
    assert 9 < np.median(force) < 20 and force.max() < 16 * 9.81 * np.sqrt(3)
    assert 0.2 < np.sqrt((rate**2).mean()) < 6 and rate.max() < 35
    # Still windows give way to moving ones.
    assert (batch["acc"].std(1).mean(1) >= settings().motion).mean() > 0.95
    # No two windows are alike: they are of other people or another time.
    flat = batch["acc"].reshape(32, -1)
    apart = np.abs(flat[:, None] - flat[None]).max(-1)
    assert apart[~np.eye(32, dtype=bool)].min() > 0.1


def test_the_windows_of_a_person_follow_each_other(make):
    jumps, steps, strange = [], [], []
    for k in range(3):
        batch = {name: np.asarray(value) for name, value in make(jax.random.key(k)).items()}
        place = {int(w): i for i, w in enumerate(batch["window"])}
        assert len(place) == 32  # with one sensor, one sample a window
        for w, i in place.items():
            steps.append(np.abs(batch["gyr"][i, -1] - batch["gyr"][i, -2]).max())
            if w % 2 == 0 and w + 1 in place:
                jumps.append(np.abs(batch["gyr"][place[w + 1], 0] - batch["gyr"][i, -1]).max())
            if w % 2 == 0 and w + 3 in place:
                strange.append(np.abs(batch["gyr"][place[w + 3], 0] - batch["gyr"][i, -1]).max())
    assert len(jumps) > 10 and len(strange) > 10
    assert np.median(jumps) < 2 * np.median(steps) < 0.5 * np.median(strange)


WAYS = {"bends": 1.0, "stairs": 1.0, "impaired": 1.0}


def test_ways_of_walking_are_those_that_are_asked_for():
    person = body.standard(70.0, 1.75, 0.5)
    t = np.arange(100, dtype=np.float32) / 100

    def pieces(**ways):
        options = stream.settings({"gait": 1.0, **ways})
        return [
            stream.random_gait(jax.random.key(k), person, k, options, t) for k in (0, 1, 2, 4, 6, 8)
        ]

    plain, asked = pieces(), pieces(**WAYS)
    for number, old, new in zip((0, 1, 2, 4, 6, 8), plain, asked, strict=True):
        way = new[2]
        assert old[2].turn is None and old[2].tilt == np.arctan(old[2].rise)
        sides = np.log(np.asarray(new[0].asymmetry))
        if number == 1:  # runs, and straight on
            assert (way.turn == 0).all() and (way.pace == 1).all() and new[3] == old[3]
            np.testing.assert_array_equal(new[1].force, old[1].force)
        elif number % 4 == 0:
            assert abs(way.rise) == np.float32(0.25) and way.tilt == 0 and (way.turn == 0).all()
            assert new[3] < 0.51 * old[3]
        else:
            assert way.rise == 0 and np.abs(way.turn).max() > 0.01
            assert 0 < way.pace.min() < 1 and way.pace.max() <= 1
            assert new[3] < old[3]  # impaired
            assert new[1].pitch[1] / old[1].pitch[1] < 1 and abs(sides[0]) > 1e-3
        np.testing.assert_allclose(sides.sum(), 0, atol=1e-6)


@pytest.mark.slow
def test_other_ways_of_walking_move_as_people_do():
    ways = {"gait": 1.0, "sensors": ("pelvis", "foot_r"), "windows": 4, **WAYS}
    options = stream.settings(ways)
    make = jax.jit(lambda key: stream.simulate_windows(key, options, 32, 100.0, 100))
    acc, gyr = (np.asarray(x) for x in make(jax.random.key(5)))  # [P, W, S, T, 3]
    assert np.isfinite(acc).all() and np.isfinite(gyr).all()
    walkers = slice(0, None, 2)
    force, rate = (np.linalg.norm(x[walkers], axis=-1) for x in (acc, gyr))
    assert 9 < np.median(force) < 12 and np.percentile(force, 99.9) < 16 * 9.81
    assert np.percentile(rate, 99.9) < 20
    # A pelvis that goes round has a mean rate about the vertical.
    up = acc[:, :, 0].mean(2)
    spin = np.abs((gyr[:, :, 0].mean(2) * up).sum(-1) / np.linalg.norm(up, axis=-1))
    bent, sloped = spin[2::4].max(1), spin[0::4].max(1)
    assert np.median(bent) > 2 * np.median(sloped) and bent.max() > 0.4


def made_up(key, options, count, rate, length):
    """In place of stream.simulate_windows, whose program takes a minute to compile."""
    shape = (count, options["windows"], len(options["sensors"]), length, 3)
    return tuple(jax.random.normal(k, shape) for k in jax.random.split(key))


@pytest.mark.slow
def test_training_goes_on_with_the_batches_it_would_have_had(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "simulate_windows", made_up)
    uninterrupted, interrupted = tmp_path / "whole", tmp_path / "torn"
    loop.train(settings(), [], uninterrupted, seed=5)

    def stop(save_checkpoint=loop.Checkpoints.save):
        def save(self, step, *args):
            save_checkpoint(self, step, *args)
            if step == 2:
                raise KeyboardInterrupt

        return save

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Checkpoints, "save", stop())
        with pytest.raises(KeyboardInterrupt):
            loop.train(settings(), [], interrupted, seed=5)
    loop.train(settings(), [], interrupted, seed=5)
    lines = [
        [json.loads(line) for line in (f / "metrics.jsonl").read_text().splitlines()]
        for f in (uninterrupted, interrupted)
    ]
    losses = [[line["loss"] for line in run] for run in lines]
    assert losses[0] == losses[1] and len(set(losses[0])) == 4
    trained = encoder.load(interrupted)
    assert trained.card["sensors"] == ["hand_r"] and trained.card["settings"]["data"] == []
    acc, gyr = (np.asarray(x)[0] for x in made_up(jax.random.key(9), settings().stream, 1, 100, 48))
    embedded = trained.features(*(np.moveaxis(x, 1, 2) for x in (acc, gyr)))
    assert embedded.shape[0] == 2 and np.isfinite(embedded).all()


def test_mistakes_are_one_sentence(tmp_path):
    for changes, says in (
        ({"sensors": ("tail",)}, "no segment 'tail'"),
        ({"sensors": ()}, "needs sensors"),
        ({"dogs": 3}, "a stream has no 'dogs'"),
        ({"bends": "many"}, "bends of a stream is 'many', but must be from 0 to 1"),
        ({"gait": 1.5}, "gait of a stream is 1.5, but must be from 0 to 1"),
    ):
        with pytest.raises(UserError, match=says):
            stream.compile_batch(settings(**changes))
    config = pretrain_simulated.get_config("tiny")
    study.check_config(config)
    config.encoders.people.data = ("waist",)
    config.data_sets.waist = {"builder": "sisfall", "raw": "sisfall"}
    with pytest.raises(UserError, match="must name data sets to train on, or be empty"):
        study.check_config(config)
