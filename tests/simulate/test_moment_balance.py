"""The launcher that measures how well the moments balance, on a few seconds of one person."""

import importlib.util
import pathlib
import re

import numpy as np
import pytest

from imujax.data.recordings import G
from imujax.simulate import people

LAUNCH = pathlib.Path(__file__).parents[2] / "launch"


@pytest.fixture(scope="module")
def launcher():
    spec = importlib.util.spec_from_file_location("moment_balance", LAUNCH / "moment_balance.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_prints_the_shares_of_what_it_measures(launcher, capsys, polished):
    changes = {"subjects": 1, "seconds": 6.0, "trials": people.WALKING_TRIALS[1:2]}
    launcher.print_balance("knee_moment", changes)
    line = capsys.readouterr().out
    below, most = re.search(r"below \.05 in ([\d.]+)%.* nine of ten below ([\d.]+)$", line).groups()
    settings = people.simulation_settings("knee_moment", changes)
    values = launcher.measure_trial(settings, "knee_moment", 0, 0)
    assert line.startswith("knee_moment, walking, 1 people, 1 trials each: ")
    assert float(below) == pytest.approx(100 * np.mean(values < 0.05), abs=0.05)
    assert np.mean(values < float(most)) == pytest.approx(0.9, abs=0.01)


def test_what_is_left_over_is_moment_less_rate_of_angular_momentum(launcher, polished):
    """By central differences of the momentum, on one person's walk."""
    changes = {"subjects": 1, "seconds": 6.0, "trials": people.WALKING_TRIALS[1:2]}
    settings = people.simulation_settings("knee_moment", changes)
    trial = people.simulate_trial(settings, "knee_moment", 0, 0)
    who, kin, loads = trial.person, trial.kin, trial.loads
    mass = np.asarray(who.segment_mass, np.float64)
    rotation, rate = (np.asarray(x, np.float64) for x in (kin.rotation, kin.rotation_rate))
    place, speed = (
        np.asarray(x, np.float64) + np.einsum("sijt,sj->sit", r, np.asarray(who.com, np.float64))
        for x, r in ((kin.position, rotation), (kin.velocity, rate))
    )
    centre, drift = (np.einsum("s,sit->it", mass / mass.sum(), x) for x in (place, speed))
    spin = np.einsum("sijt,skjt->sikt", rate, rotation)
    omega = np.stack([spin[:, 2, 1], spin[:, 0, 2], spin[:, 1, 0]], 1)
    inertia = np.asarray(who.inertia, np.float64)
    own = np.einsum("sijt,sj,skjt,skt->it", rotation, inertia, rotation, omega)
    orbit = np.cross(place - centre, speed - drift, axis=1)
    momentum = own + np.einsum("s,sit->it", mass, orbit)
    cop, force = (np.asarray(x, np.float64) for x in (loads.cop, loads.force))
    moment = np.cross(cop - centre, force, axis=1).sum(0)
    moment[2] += np.asarray(loads.free_moment, np.float64).sum(0)
    change = (momentum[:, 2:] - momentum[:, :-2]) * people.SENSOR_RATE / 2
    expected = np.linalg.norm(moment[:, 1:-1] - change, axis=0) / (float(who.mass) * G)
    values = launcher.measure_trial(settings, "knee_moment", 0, 0)[1:-1]
    assert np.median(np.abs(values - expected)) < 0.05 * np.median(values)
    assert np.quantile(np.abs(values - expected), 0.9) < 0.01
