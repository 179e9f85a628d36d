"""Contacts from a unit alone: against the annotations of real walks, and against drawn waves."""

import numpy as np
import pytest
from helpers.raw_files import unpack_members

from imujax.data import contacts
from imujax.data_builders.ipol_gait import files as ipol

WALKS = ("1-1", "5-2", "9-1", "14-1", "18-1")  # of five people
NEAR = 0.25  # s within which a contact counts as found


@pytest.fixture(scope="module")
def walks(shared_data, tmp_path_factory):
    """Of each walk: gyr of both feet, acc of the lower back, and the events of each foot [s]."""
    ends = (".json", "_lb.txt", "_lf.txt", "_rf.txt")
    names = [f"GaitData/{walk}{end}" for walk in WALKS for end in ends]
    folder = tmp_path_factory.mktemp("ipol")
    raw = unpack_members(shared_data / "ipol_gait" / "ipol_GaitData.tar.xz", names, folder)
    found = []
    for item in ipol.list_items(raw, {"sensors": ["lb", "lf", "rf"]}):
        recordings, description, _ = ipol.read_walk(item)
        recording = max(recordings, key=lambda one: len(one.acc))
        begin, end = np.asarray(description["TrialBoundaries"]) / ipol.RATE
        first = recording.start
        begin, end = max(begin, first), min(end, first + len(recording.acc) / ipol.RATE)
        rows = slice(round((begin - first) * ipol.RATE), round((end - first) * ipol.RATE))
        events = {}
        for side in ("Left", "Right"):
            swings = np.asarray(description[f"{side}FootEvents"], float) / ipol.RATE - begin
            events[side] = {"final": swings[:, 0], "initial": swings[:, 1]}
        acc, gyr = recording.acc[rows], recording.gyr[rows]
        found.append((gyr[:, 1], gyr[:, 2], acc[:, 0], events))
    assert len(found) == len(WALKS)
    return found


def compare(found, true, seconds):
    """Errors [s] of the true events that were found; how many of either there are."""
    true = true[(true > 0.5) & (true < seconds - 0.5)]
    found = found[(found > 0.4) & (found < seconds - 0.4)]
    errors = [(found - t)[np.argmin(np.abs(found - t))] for t in true]
    return np.array([e for e in errors if abs(e) < NEAR]), len(true), len(found)


def pooled(compared):
    errors, true, found = zip(*compared, strict=True)
    errors = np.concatenate(errors)
    sensitivity, precision = len(errors) / sum(true), len(errors) / sum(found)
    spread = np.median(np.abs(errors - np.median(errors)))
    return sensitivity, precision, np.median(errors), spread


@pytest.mark.parametrize("event", ["initial", "final"])
def test_a_foot_unit_finds_the_contacts_of_real_walks(walks, event):
    compared = []
    for left, right, _, events in walks:
        for gyr, side in ((left, "Left"), (right, "Right")):
            found = getattr(contacts.of_foot(gyr, 100.0), event)
            compared.append(compare(found, events[side][event], len(gyr) / 100))
    sensitivity, precision, bias, spread = pooled(compared)
    print(f"foot, {event}: {sensitivity:.3f}, {precision:.3f}, {bias:+.3f} s, {spread:.3f} s")
    assert sensitivity > 0.9 and precision > 0.9
    assert abs(bias) <= 0.04 and spread <= 0.02


def test_a_lower_back_unit_finds_the_contacts_of_both_feet(walks):
    compared = []
    for *_, acc, events in walks:
        true = np.concatenate([events[side]["initial"] for side in events])
        compared.append(compare(contacts.of_lower_back(acc, 100.0), true, len(acc) / 100))
    sensitivity, precision, bias, spread = pooled(compared)
    print(f"lower back: {sensitivity:.3f}, {precision:.3f}, {bias:+.3f} s, {spread:.3f} s")
    assert sensitivity > 0.95 and precision > 0.85
    assert abs(bias) <= 0.06 and spread <= 0.03


def shank(rate, count=12, turn=None):
    """A drawn shank: a swing a stride, with a trough on both sides -> gyr, and the troughs [s]."""
    period = 1.1
    t = np.arange(round(count * period * rate)) / rate
    middle = 0.4 + period * np.arange(count)
    wave, ends = np.zeros(len(t)), []
    waves = ((1, 0, 0.09, 5.0), (-1, 0.24, 0.03, 2.0), (-1, -0.26, 0.04, 2.5))
    for sign, offset, width, size in waves:
        for m in middle:
            wave += sign * size * np.exp(-0.5 * ((t - m - offset) / width) ** 2)
    axis = np.array([0.2, -0.9, 0.4]) / np.linalg.norm([0.2, -0.9, 0.4])
    noise = np.random.default_rng(0).normal(0, 0.1, (len(t), 3))
    gyr = wave[:, None] * axis + noise
    ends = middle + 0.24, middle - 0.26
    return (gyr if turn is None else gyr @ turn.T), ends


@pytest.mark.parametrize("rate", [50.0, 100.0, 256.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_shank_is_set_down_and_lifted_in_the_troughs_around_its_swing(rate, sign):
    """Whatever its axes, and whichever way round it was put on."""
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0] * sign
    gyr, (initial, final) = shank(rate, turn=turn)
    found = contacts.of_shank(gyr, rate)
    np.testing.assert_allclose(found.initial, initial[: len(found.initial)], atol=0.03)
    np.testing.assert_allclose(found.final, final, atol=0.03)
    assert len(found.initial) >= len(initial) - 1


def test_who_stands_still_has_no_contacts():
    noise = np.random.default_rng(1).normal(0, 0.05, (2, 1000, 3))
    for find in (contacts.of_foot, contacts.of_shank):
        assert [len(found) for found in find(noise[0], 100.0)] == [0, 0]
    assert len(contacts.of_lower_back(noise[1] + [9.81, 0, 0], 100.0)) == 0
