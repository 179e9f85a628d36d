"""Hashes of signals: what is a copy is known again, and nothing else."""

import concurrent.futures
import dataclasses
import itertools

import numpy as np
import pytest
from helpers.recordings import make_recording, signals
from scipy import ndimage, spatial

from imujax.data import content, recordings, windows
from imujax.errors import UserError

G = recordings.G


def movement(seconds: float, rate: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Nobody's movement: smooth noise of 6 Hz and gravity, acc and gyr [T, 3]."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(round(seconds * rate), 6))
    smooth = ndimage.gaussian_filter1d(noise, rate / 30, axis=0)
    smooth /= smooth.std(0)
    return np.array([0, G, 0]) + 4 * smooth[:, :3], 2 * smooth[:, 3:]


def hashed(acc, gyr, rate=100.0, source="a.csv", examples=(), **changes) -> content.Content:
    # Movement of no body: nobody asks it for gravity.
    changes |= {"rate": rate, "rest_error": np.inf}
    recording = make_recording(acc[:, None], gyr[:, None], **changes)
    return content.hash_signals([recording], examples, source)


def slow_hashes(acc, gyr, rate) -> list[tuple[int, int]]:
    """(hash, first sample) by loops over whole numbers of Python's own."""
    spacing = max(1, round(rate / 50))
    hashes = []
    for first in range(len(acc) - 15 * spacing):
        total, changes = 0, []
        for x, step, factors in ((acc, 0.2, content.FACTORS[0]), (gyr, 0.1, content.FACTORS[1])):
            rows = [x[first + k * spacing].tolist() for k in range(16)]
            points = [round(sum(v * v for v in row) ** 0.5 / step) for row in rows]
            total += sum(p * int(f) for p, f in zip(points, factors, strict=True))
            changes.append(sum(a != b for a, b in itertools.pairwise(points)))
        hashes.append(total % 2**64 if min(changes) >= 10 else 2**64 - 1)
    width = min(round(0.8 * rate), len(hashes))
    chosen = set()
    for first in range(len(hashes) - width + 1):
        least = min(hashes[first : first + width])
        if least < 2**64 - 1:
            chosen.add(hashes.index(least, first))
    return [(hashes[i], i) for i in sorted(chosen)]


@pytest.mark.parametrize("rate", [20.0, 100.0, 148.0])
def test_stretches_are_those_of_slow_loops(rate):
    acc, gyr = movement(8, rate, 1)
    acc[: len(acc) // 3] = acc[0]  # a third without movement
    hashes, place = content.hash_stretches(acc, gyr, rate)
    assert list(zip(hashes.tolist(), place.tolist(), strict=True)) == slow_hashes(acc, gyr, rate)
    assert len(hashes) > 4 and place.min() > 0.3 * len(acc) - rate


@pytest.mark.parametrize("rate", [50.0, 100.0, 148.148, 200.0])
def test_two_and_a_half_seconds_in_common_are_a_copy_wherever_they_lie(rate):
    """In thirty recordings each, with another clock, a different movement before and after."""
    rng, count = np.random.default_rng(2), round(2.5 * rate) + 2
    for seed in range(30):
        acc, gyr = movement(9, rate, seed)
        other_acc, other_gyr = movement(7, rate, 1000 + seed)
        here, there = rng.integers(len(acc) - count), rng.integers(len(other_acc) - count)
        other_acc[there : there + count] = acc[here : here + count]
        other_gyr[there : there + count] = gyr[here : here + count]
        one = hashed(acc, gyr, rate, subject="A", start=36000.125)
        two = hashed(other_acc, other_gyr, rate, source="b.csv", subject="B")
        both = content.find_copy(content.concatenate([one, two]))
        places = content.find_copy(one, two)
        assert both == places and places is not None
        assert (places[0].subject, places[1].source) == ("A", "b.csv")
        shift = (there - here) / rate - 36000.125
        assert places[1].start - places[0].start == pytest.approx(shift, abs=0.002)
        assert here / rate - 0.1 <= places[0].start - 36000.125 < places[0].end - 36000.125


def test_nobody_is_taken_for_another():
    """Fifty people who move in the same way, at length: no two share a stretch."""
    people = [hashed(*movement(120, 100.0, n), subject=f"P{n}") for n in range(50)]
    everybody = content.concatenate(people)
    assert len(everybody.hash) > 50 * 200
    assert len(np.unique(everybody.hash)) == len(everybody.hash)
    assert content.find_copy(everybody) is None
    first, second = content.concatenate(people[:25]), content.concatenate(people[25:])
    assert content.find_copy(first, second) is None


def test_real_people_differ_and_a_copy_of_one_does_not(shared_data):
    """Both feet of all eleven, 40 s each; then one of them cut, with two digits."""
    folders = sorted((shared_data / "plantar_insole" / "Insoles").iterdir())
    feet = [slice(0, 3), slice(3, 6)], [slice(6, 9), slice(9, 12)]
    people = []
    for folder in folders:
        (file, *_) = sorted(folder.glob("*/insoles.csv.gz"))
        columns = [*range(17, 23), *range(42, 48)]
        rows = np.loadtxt(file, delimiter=";", skiprows=1, usecols=columns, max_rows=4000)
        for acc, gyr in feet:
            people.append((folder.name, rows[:, acc] * G, np.radians(rows[:, gyr])))
    everybody = content.concatenate([hashed(a, g, subject=name) for name, a, g in people])
    assert len(set(everybody.subject)) == 11 and len(everybody.hash) > 500
    assert content.find_copy(everybody) is None
    _, acc, gyr = people[5]
    copy = hashed(np.round(acc[777:3000], 2), np.round(gyr[777:3000], 2), subject="X")
    places = content.find_copy(content.concatenate([everybody, copy]))
    assert {place.subject for place in places} == {people[5][0], "X"}


TURN = spatial.transform.Rotation.from_euler("xyz", [0.4, -1.1, 2.0]).as_matrix()
CHANGES = {
    "three digits in g and one in deg/s": lambda acc, gyr: (
        recordings.to_si(np.round(acc / G, 3), "g"),
        recordings.to_si(np.round(np.degrees(gyr), 1), "deg/s"),
    ),
    "two digits": lambda acc, gyr: (np.round(acc, 2), np.round(gyr, 2)),
    "single precision": lambda acc, gyr: (acc.astype(np.float32), gyr.astype(np.float32)),
    "turned": lambda acc, gyr: (recordings.rotate(acc, TURN), recordings.rotate(gyr, TURN)),
    "axes in another order, one mirrored": lambda acc, gyr: (
        acc[:, [2, 0, 1]] * [1, -1, 1],
        gyr[:, [2, 0, 1]] * [-1, 1, -1],
    ),
    "every second sample": lambda acc, gyr: (acc[::2], gyr[::2]),
    "noise of the last digit": lambda acc, gyr: (
        acc + np.random.default_rng(0).normal(0, 0.01, acc.shape),
        gyr + np.random.default_rng(1).normal(0, 0.005, gyr.shape),
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_copy_in_other_clothes_is_known_again(name):
    acc, gyr = movement(60, 200.0, 3)
    other_acc, other_gyr = CHANGES[name](acc[333:], gyr[333:])
    rate = 100.0 if name == "every second sample" else 200.0
    one, two = hashed(acc, gyr, 200.0), hashed(other_acc, other_gyr, rate, sensors=("wrist",))
    places = content.find_copy(one, two)
    assert places is not None
    assert places[0].start - places[1].start == pytest.approx(333 / 200, abs=0.02)
    assert places[0].end - places[0].start > 20


def test_another_signal_is_no_copy():
    """What the text of the module says it does not know again."""
    acc, gyr = movement(60, 200.0, 3)
    halved = [windows.resample(x, 200.0, 100.0) for x in (windows.lowpass(acc, 200.0, 4.0), gyr)]
    assert content.find_copy(hashed(acc, gyr, 200.0), hashed(*halved)) is None


def test_rest_zeros_and_clipped_values_are_nobodys():
    rng = np.random.default_rng(4)
    rest = np.array([0, G, 0]) + rng.normal(0, 0.02, (3000, 3))
    quiet = rng.normal(0, 0.01, (3000, 3))
    acc, gyr = movement(30, 100.0, 5)
    clipped = np.where(np.arange(3000)[:, None] % 50 < 10, 0, 16 * G * np.ones(3))
    for a, g in ((rest, quiet), (0 * acc, 0 * gyr), (acc, quiet), (rest, gyr), (clipped, clipped)):
        assert len(content.hash_stretches(a, g, 100.0)[0]) == 0
    assert len(content.hash_stretches(acc[:31], gyr[:31], 100.0)[0]) == 1
    assert len(content.hash_stretches(acc[:30], gyr[:30], 100.0)[0]) == 0


def test_a_movement_that_repeats_is_hashed_once():
    """A copy needs two stretches that differ, however often one of them comes again."""
    acc, gyr = (np.tile(x, (12, 1)) for x in movement(1.7, 100.0, 8))
    repeated = hashed(acc, gyr)
    assert 2 <= len(repeated.hash) == len(np.unique(repeated.hash)) < 8


def by_hand(rows) -> content.Content:
    """A content of (subject, sensor, hash, time), each subject with one recording."""
    names = sorted({row[:2] for row in rows})
    subjects, sensors = (np.array([name[i] for name in names]) for i in (0, 1))
    track = np.array([names.index(row[:2]) for row in rows], np.int32)
    values = [np.array([row[i] for row in rows]) for i in (2, 3)]
    return content.Content(
        subjects, subjects, subjects, sensors, values[0].astype(np.uint64), track, values[1]
    )


@pytest.mark.parametrize(
    ("rows", "is_copy"),
    [
        ([("A", "s", 1, 0), ("B", "s", 1, 500)], False),  # one hash may be an accident
        ([("A", "s", 1, 0), ("B", "s", 1, 500), ("A", "s", 2, 700), ("B", "s", 2, 1500)], False),
        ([("A", "s", 1, 0), ("B", "s", 1, 500), ("A", "s", 2, 700), ("B", "s", 2, 1200)], True),
        # two of one stretch are as one
        ([("A", "s", 1, 0), ("B", "s", 1, 500), ("A", "s", 2, 10), ("B", "s", 2, 510)], False),
        ([("A", "s", 1, 0), ("B", "s", 1, 500), ("A", "t", 2, 700), ("B", "t", 2, 1200)], False),
        ([("A", "s", 1, 0), ("A ", "s", 1, 500), ("A", "s", 2, 900), ("A ", "s", 2, 1400)], False),
        ([("A", "s", 1, 0), ("B", "s", 1, 500), ("A", "s", 2, 700), ("C", "s", 2, 1200)], False),
        ([("A", "", 1, 0), ("B", "", 1, 99)], True),  # one example is one
        ([("A", "", 1, 0), ("A", "", 1, 99)], False),
        (
            [(name, "s", n, 800 * n) for name in "ABC" for n in (1, 2) if (name, n) != ("B", 2)],
            True,  # A and C, with one hash of B between them
        ),
        ([("A", "s", 1, 0)], False),
    ],
)
def test_what_makes_a_copy(rows, is_copy):
    assert (content.find_copy(by_hand(rows)) is not None) == is_copy
    assert content.find_copy(by_hand(rows[::-1])) == content.find_copy(by_hand(rows))


def test_the_largest_overlap_is_named():
    rows = [(name, "s", n, 1000 * n) for name in "AB" for n in range(3)]
    rows += [(name, "s", n, 1000 * n) for name in "CD" for n in range(5, 9)]
    first, second = content.find_copy(by_hand(rows))
    assert (first.subject, second.subject) == ("C", "D")
    assert (first.start, first.end) == (5.0, 8.0)
    assert str(first) == "C (subject C, recording C, from 5.0 s on)"


def cut(recording: recordings.Recording, starts=(0, 150)) -> list[dict]:
    return [
        windows.make_example(
            recording, recording.acc[s : s + 64], recording.gyr[s : s + 64], s / 50, ""
        )
        for s in starts
    ]


def test_equal_examples_are_known_without_their_recordings():
    recording = make_recording(*signals())
    alone = content.hash_signals([], cut(recording), "a.csv")
    assert alone.sensor.tolist() == [""] and alone.time.tolist() == [0, 3000]
    assert content.count_equal_examples(alone) == 0
    twice = content.concatenate([alone, content.hash_signals([], cut(recording, (150,)), "b.csv")])
    assert content.count_equal_examples(twice) == 1
    assert content.find_copy(twice) is None  # it is one person
    renamed = dataclasses.replace(recording, subject="B", recording="elsewhere")
    two = content.hash_signals([], cut(renamed, (150,)), "c.csv")
    places = content.find_copy(content.concatenate([alone, two]))
    assert [str(place) for place in places] == [
        "a.csv (subject A, recording r, from 3.0 s on)",
        "c.csv (subject B, recording elsewhere, from 3.0 s on)",
    ]
    example = cut(recording)[1]
    for key in ("acc", "gyr"):
        one_more = example[key].copy()
        one_more[40, 1, 2] += 0.02
        changed = content.hash_signals([], [example | {key: one_more}])
        assert content.find_copy(alone, changed) is None
    dead = {key: np.zeros_like(example[key]) for key in ("acc", "gyr")}
    assert len(content.hash_signals([], [example | dead]).hash) == 0


def test_all_sensors_of_all_recordings_are_hashed():
    recording = make_recording(*signals(sensors=3))
    both = content.hash_signals([recording, dataclasses.replace(recording, recording="q")], [])
    assert both.sensor.tolist() == ["s0", "s1", "s2"] * 2
    assert both.recording.tolist() == ["r"] * 3 + ["q"] * 3
    assert (np.bincount(both.track) > 3).all()
    one = content.concatenate([content.hash_signals([recording], []), both])
    assert len(one.subject) == 9 and one.track.max() == 8
    assert content.concatenate([]).hash.dtype == np.uint64


def test_recordings_are_collected_where_they_are_made():
    acc, gyr = signals()
    make_recording(acc, gyr)
    with content.collect_recordings() as some:
        one = make_recording(acc, gyr)
        with content.collect_recordings() as inner:
            two = make_recording(acc, gyr)
        with pytest.raises(UserError):
            make_recording(0 * acc, gyr)  # one that is none
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(make_recording, acc, gyr).result()  # another item's, on another thread
    make_recording(acc, gyr)
    assert some == [one] and inner == [two]


@pytest.mark.parametrize(
    "names", [("S01", "S01 "), ("S01", "s01"), ("Jos\u00e9", "Jose\u0301"), ("STRASSE", "straße")]
)
def test_a_name_in_two_spellings_is_refused(names):
    nothing = content.concatenate([])
    with pytest.raises(UserError, match=r"data has the subjects .* two spellings") as error:
        content.require_separate_subjects(nothing, [*names, "S02"], "data")
    assert all(repr(name) in str(error.value) for name in names)
    content.require_separate_subjects(nothing, ["S01", "S02", "S1"], "data")


def test_a_content_is_kept_and_read_as_it_was(tmp_path):
    one = hashed(*movement(20, 100.0, 6), examples=cut(make_recording(*signals())))
    folder = tmp_path / "walks" / "w64" / "1.0.0"
    folder.mkdir(parents=True)
    file = content.save(folder, one)
    before = file.read_bytes()
    again = content.read(folder)
    for name in content.FIELDS:
        np.testing.assert_array_equal(getattr(again, name), getattr(one, name))
        assert getattr(again, name).dtype == getattr(one, name).dtype
    assert content.save(folder, again).read_bytes() == before
    named = content.read_sets([folder, folder])
    assert set(named.source) == {"walks/w64: a.csv"} and len(named.hash) == 2 * len(one.hash)


@pytest.mark.parametrize("fault", ["none", "cut", "version", "field"])
def test_a_content_that_is_missing_or_damaged_ends_in_a_sentence(tmp_path, monkeypatch, fault):
    file = content.save(tmp_path, hashed(*movement(20, 100.0, 6)))
    if fault == "none":
        file.unlink()
    elif fault == "cut":
        file.write_bytes(file.read_bytes()[:-40])
    elif fault == "version":
        monkeypatch.setattr(content, "VERSION", content.VERSION + 1)
    else:
        np.savez(file, **{name: np.zeros(2) for name in (*content.FIELDS, "more")})
    with pytest.raises(UserError, match=r"has no content\.npz that can be read.*build it again"):
        content.read(tmp_path)
