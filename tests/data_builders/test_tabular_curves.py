"""Curves of a card: a known signal at the samples of windows, whatever its file and its clock."""

import csv

import numpy as np
import pytest
from helpers.moving import moving_unit
from helpers.tabular_files import CARD, COLUMNS, read_all_examples, write_table

from imujax.data import builders, datasets, targets, windows
from imujax.data_builders import picture
from imujax.errors import UserError

PLAIN = CARD.replace("{suffix}", "csv").replace("*.csv", "s*.csv")
SECONDS, BEGIN = 10, 3.0  # of a recording, and where its clock begins
EVENTS = "[events]\ntimes = [2.0, 5.0, 9.7]\n"
WINDOW = "[window]\nrate = 100\nlength = 64\nbefore = 20\npad = true\n"
CURVE = """
[[target]]
name = "load"
unit = "N"
column = "force"
statistic = "curve"
"""
PEAK = """
[[target]]
name = "peak"
unit = "N"
column = "force"
statistic = "max"
to = 0.4
"""


def force(time):
    """300 N in steps of .8 s, slow enough for every filter here; `time` from BEGIN on [s]."""
    return 400 + 300 * np.sin(2 * np.pi * time / 0.8) + 100 * np.cos(2 * np.pi * time / 0.31)


RANGE = 800.0  # N


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    return folder


def write(raw, loads=force, subject=1):
    acc, gyr = moving_unit(SECONDS, 100, seed=subject)
    time = np.arange(len(acc)) / 100
    table = [time[:, None] + BEGIN, acc[:, 0] / 9.80665, np.rad2deg(gyr[:, 0])]
    write_table(raw / f"s{subject}_a.csv", np.column_stack([*table, loads(time)]), COLUMNS)
    return time


def write_plate(raw, loads=force, rate=1000, shift=0.0, seconds=SECONDS):
    """A file beside the recording, whose clock may be ahead."""
    (raw / "plates").mkdir(exist_ok=True)
    time = np.arange(round(seconds * rate)) / rate + shift
    write_table(
        raw / "plates/a.csv", np.column_stack([time + BEGIN, loads(time)]), ["when", "load"]
    )


def of_plate(more):
    return CURVE.replace('"force"', f'"load"\nfile = "plates/{{recording}}.csv"\n{more}')


def require_known(examples, every=1, rate=100, scale=1.0, tolerance=1e-3):
    """The curve is the force at the samples of the window, and 0 beyond its length."""
    for e in examples:
        at = np.arange(0, len(e["acc"]), every)
        time = (round((float(e["start"]) - BEGIN) * rate) + at) / rate  # float32 is too coarse
        expected = np.where(at < e["length"], scale * force(time), 0)
        np.testing.assert_allclose(e["curve"][:, 0], expected, atol=tolerance * scale * RANGE)


@pytest.mark.parametrize("every", [1, 4])
def test_a_curve_is_the_signal_at_the_samples_of_the_window(raw, every):
    write(raw)
    card = PLAIN + EVENTS + CURVE + f"every = {every}\n" + WINDOW
    examples, dropped = read_all_examples(raw, card)
    assert [e["length"] for e in examples] == [64, 64, 50] and not dropped
    assert {e["curve"].shape for e in examples} == {(64 // every, 1)}
    assert all(e["curve"].dtype == np.float32 and "target" not in e for e in examples)
    require_known(examples, every, tolerance=1e-7)


def test_numbers_and_curves_stand_side_by_side(raw):
    """Whichever comes first; the number is the statistic of the curve."""
    write(raw)
    body = "[body]\nmass = 70\n"
    second = CURVE.replace('"load"', '"in weights"') + 'divide_by = ["mass", 10]\n'
    events = EVENTS.replace(", 9.7", "")
    card = PLAIN + events + CURVE + PEAK + second + body + WINDOW
    examples, _ = read_all_examples(raw, card)
    assert len(examples) == 2
    require_known(examples, tolerance=1e-7)
    for e in examples:
        assert e["target"] == e["curve"][20:60, 0].max()
        np.testing.assert_allclose(e["curve"][:, 1], e["curve"][:, 0] / 700, rtol=1e-6)


CLOCKS = {  # rate of the plate [Hz], by how much its clock is ahead [s], keys
    "ten times the rate": (1000, 0.0, 'time = "when"'),
    "begins before, between two samples": (1000, -0.5034, 'time = "when"'),
    "begins later": (500, 0.7513, 'time = "when"'),
    "another ratio": (1200, -0.2, 'time = "when"'),
    "a rate alone": (1000, 0.0, "rate = 1000"),
    "filtered": (1000, 0.0, "rate = 1000\nlowpass = 60"),
    "turned": (1000, 0.0, "rate = 1000\nscale = -1"),
}


@pytest.mark.parametrize("name", CLOCKS)
def test_a_curve_of_another_file_is_brought_to_the_clock_of_the_window(raw, name):
    rate, shift, more = CLOCKS[name]
    write(raw)
    sign = -1 if "scale" in more else 1
    write_plate(raw, lambda time: sign * force(time), rate, shift, SECONDS - shift)
    examples, dropped = read_all_examples(raw, PLAIN + EVENTS + of_plate(more) + WINDOW)
    assert len(examples) == 3 and not dropped
    require_known(examples[:2])
    require_known(examples[2:], tolerance=0.05)  # filters at the end of the recording


@pytest.mark.parametrize("own", [True, False])
def test_what_the_rate_of_the_window_cannot_hold_is_filtered_out(raw, own):
    def loud(time):
        return force(time) + 200 * np.cos(2 * np.pi * 40 * time)

    write(raw, loud)
    write_plate(raw, loud)
    window = WINDOW.replace("100", "50").replace("64", "32").replace("20", "10")
    curve = CURVE if own else of_plate('time = "when"')
    examples, _ = read_all_examples(raw, PLAIN + EVENTS.replace(", 9.7", "") + curve + window)
    assert len(examples) == 2
    require_known(examples, rate=50, tolerance=5e-3)


def test_windows_lie_back_to_back_where_there_are_no_events(raw):
    write(raw)
    window = "[window]\nrate = 100\nlength = 64\nstride = 50\n"
    examples, dropped = read_all_examples(raw, PLAIN + CURVE + "every = 4\n" + window)
    starts = [float(e["start"]) - BEGIN for e in examples]
    assert starts == pytest.approx([k / 2 for k in range(19)]) and not dropped
    require_known(examples, every=4, tolerance=1e-7)
    write(raw, lambda time: np.where(abs(time - 4) < 0.1, np.nan, force(time)))
    some, dropped = read_all_examples(raw, PLAIN + CURVE + "every = 4\n" + window)
    assert dropped == {windows.CURVE_GAP: 2} and len(some) == 17
    require_known(some, every=4, tolerance=1e-7)


@pytest.mark.parametrize("more", ["", "lowpass = 30\n"])
@pytest.mark.parametrize("of_own", [True, False])
def test_gaps_up_to_max_gap_are_filled_and_longer_ones_drop_the_window(raw, of_own, more):
    def torn(time):
        short = abs(time - 2.1) < 0.0249
        long = abs(time - 5.1) < 0.0749
        return np.where(short | long, np.nan, force(time))

    write(raw, torn if of_own else force)
    write_plate(raw, torn)
    card = PLAIN.replace("[time]", "[time]\nmax_gap = 0.05") if of_own else PLAIN
    curve = CURVE + more if of_own else of_plate('time = "when"\nmax_gap = 0.05\n' + more)
    examples, dropped = read_all_examples(raw, card + EVENTS + curve + WINDOW)
    assert dropped == {windows.CURVE_GAP: 1}
    assert [round(float(e["start"]) - BEGIN, 2) for e in examples] == [1.8, 9.5]
    require_known(examples, tolerance=0.1)


def test_a_number_of_a_filtered_signal_with_a_long_gap_is_missing(raw):
    write(raw, lambda time: np.where(abs(time - 5.1) < 0.07, np.nan, force(time)))
    card = PLAIN.replace("[time]", "[time]\nmax_gap = 0.05")
    examples, dropped = read_all_examples(raw, card + EVENTS + PEAK + "lowpass = 30\n" + WINDOW)
    assert dropped["events with missing target values"] == 1 and len(examples) == 1


def test_a_window_that_the_signal_does_not_cover_is_dropped(raw):
    write(raw)
    write_plate(raw, shift=2.1, seconds=5)  # from 2.1 to 7.1 s
    card = PLAIN + EVENTS + of_plate('time = "when"') + WINDOW
    examples, dropped = read_all_examples(raw, card)
    assert dropped == {windows.CURVE_GAP: 2} and len(examples) == 1
    require_known(examples)


@pytest.mark.parametrize(
    ("seconds", "rate", "says"),
    [
        (8, 1000, r"lasts 10\.00 s, and the curve \"load\" 8\.00 s, at 1000 Hz and without stamps"),
        (SECONDS, 100, r"lasts 10\.00 s, and the curve \"load\" 100\.00 s, at 100 Hz"),
    ],
)
def test_a_signal_without_stamps_lasts_as_long_as_the_recording(raw, seconds, rate, says):
    write(raw)
    write_plate(raw, seconds=seconds)
    with pytest.raises(UserError, match=r"s1_a\.csv.*" + says):
        read_all_examples(raw, PLAIN + EVENTS + of_plate(f"rate = {rate}") + WINDOW)
    short = of_plate(f"rate = {rate}\nevery = 2") + "[body]\nmass = 70\n"
    with pytest.raises(UserError, match=says):
        plain = WINDOW.replace("before = 20\npad = true", "stride = 64")
        read_all_examples(raw, PLAIN + short + plain)


def test_columns_that_are_not_there_or_of_another_length_are_named(raw):
    time = write(raw)
    with pytest.raises(UserError, match=r's1_a\.csv.* no column "forse"; did you mean "force"'):
        read_all_examples(raw, PLAIN + EVENTS + CURVE.replace('"force"', '"forse"') + WINDOW)
    acc, gyr = moving_unit(SECONDS, 100)
    arrays = dict(zip(COLUMNS[1:7], np.column_stack([acc[:, 0], gyr[:, 0]]).T, strict=True))
    np.savez(raw / "s1_a.npz", time=time, force=time[:-5], **arrays)
    card = PLAIN.replace("s*.csv", "*.npz").replace('"g"', '"m/s^2"').replace("deg/s", "rad/s")
    with pytest.raises(UserError, match=r'columns "force" and "ax" differ in length'):
        read_all_examples(raw, card + EVENTS + CURVE + WINDOW)


def test_a_data_set_of_curves_is_built_told_of_and_drawn(raw, tmp_path):
    for subject in (1, 2):
        write(raw, lambda time: force(time) - 1000, subject)
    card = tmp_path / "loads.toml"
    second = CURVE.replace('"load"', '"more"') + "scale = 2\nevery = 3\n"
    card.write_text(PLAIN + EVENTS + CURVE + "every = 3\n" + second + WINDOW)
    path = builders.build("tabular", raw, tmp_path / "data", card=card)
    data = datasets.read(path)
    assert data.curve.shape == (6, 22, 2) and data.target is None
    assert data.info["curves"] == [{"name": n, "unit": "N"} for n in ("load", "more")]
    assert data.info["curve_every"] == targets.curve_every(targets.select(data, (), "loads")) == 3
    inside = np.arange(22) * 3 < data.length[:, None]
    assert not data.curve[~inside].any() and (data.curve[inside] < 0).all()
    rows = list(csv.DictReader((path / "subjects.csv").read_text().splitlines()))
    for row in rows:
        own = data.subject == row["subject"]
        curve = np.where(inside, data.curve[..., 1], np.nan)[own]
        for name, values in (("largest", np.nanmax(curve, 1)), ("smallest", np.nanmin(curve, 1))):
            told = float(row[f"mean {name} more [N]"])
            assert told == pytest.approx(values.mean(), rel=1e-4)
    examples, _ = read_all_examples(raw, card.read_text())
    figure = picture.examples_figure(examples[:3], data.info)
    assert len(figure.axes) == 9 and "right: load, the first of 2 curves" in figure.get_suptitle()
    for example, ax in zip(examples, figure.axes[2::3], strict=False):
        count = -(-example["length"] // 3)
        np.testing.assert_array_equal(ax.lines[0].get_ydata(), example["curve"][:count, 0])
        np.testing.assert_allclose(ax.lines[0].get_xdata(), 0.03 * np.arange(count), atol=1e-9)
        assert ax.get_ylabel() == "N"
