"""Curves of a card: a known signal at the samples of windows, whatever its file and its clock."""

import csv

import numpy as np
import pytest
from helpers.moving import moving_unit
from helpers.tabular_files import CARD, COLUMNS, TARGET, read_all_examples, write_table

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
PHASE = """
[[target]]
name = "phase"
statistic = "class"
classes = ["stance", "swing"]
"""
ACTIVITY = """
[activity]
file = "phases/{recording}.csv"
name = "what"
start = "from"
end = "to"
"""
OF_ROWS = '[columns]\nactivity = "what"\n'
PHASES = [  # ms from the first sample on, between samples and on them
    *(("stance", 0, 2003), ("swing", 2003, 2400), ("stance", 2400, 2990), ("swing", 2990, 5111)),
    *(("stance", 5111, 9550), ("swing", 9550, 10_000)),
]


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    return folder


def write(raw, loads=force, subject=1, rate=100, begin=BEGIN):
    acc, gyr = moving_unit(SECONDS, rate, seed=subject)
    time = np.arange(len(acc)) / rate
    table = [time[:, None] + begin, acc[:, 0] / 9.80665, np.rad2deg(gyr[:, 0])]
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


# A class a sample

NOT_OF_A_CLASS = {"from": 0.1, "to": 0.4, "to_share": 0.5, "level": 20, "until": "'above'"}
NOT_OF_A_CLASS |= {"column": "'force'", "file": "'a.csv'", "unit": "'N'", "scale": 2}
NOT_OF_A_CLASS |= {"lowpass": 5, "divide_by": [2], "delimiter": "';'", "max_gap": 0.1}


def write_phases(raw, phases=PHASES, begin=BEGIN):
    (raw / "phases").mkdir(exist_ok=True)
    rows = [f"{word},{begin + a / 1000!r},{begin + b / 1000!r}" for word, a, b in phases]
    (raw / "phases/a.csv").write_text("\n".join(["what,from,to", *rows]))


def write_words(raw, words):
    """A word a row, as a further column of the recording."""
    lines = (raw / "s1_a.csv").read_text().splitlines()
    rows = zip(lines, ["what", *words], strict=True)
    (raw / "s1_a.csv").write_text("\n".join(f"{line},{word}" for line, word in rows))


def word_at(milliseconds, phases=PHASES):
    return next((word for word, a, b in phases if a <= milliseconds < b), "")


def require_phases(examples, every=1, step=10, column=0, begin=BEGIN):
    """At sample k of 100 Hz the number of the word 10 k ms after the start, or where rows tell it
    that of the last row, `step` ms apart; 0 beyond the length of the window."""
    for e in examples:
        first = round((float(e["start"]) - begin) * 100)
        for i, value in enumerate(e["curve"][:, column]):
            word = word_at((first + i * every) * 10 // step * step)
            inside = i * every < e["length"]
            assert value == (["stance", "swing"].index(word) if inside else 0)


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("rate", [100, 50])
@pytest.mark.parametrize("of_rows", [False, True])
def test_a_class_is_the_word_at_the_samples_of_the_window(raw, of_rows, rate, every):
    write(raw, rate=rate)
    write_phases(raw)
    step = 1000 // rate
    write_words(raw, [word_at(step * row) for row in range(SECONDS * rate)])
    where = OF_ROWS if of_rows else ACTIVITY
    card = PLAIN + where + EVENTS + PHASE + f"every = {every}\n" + WINDOW + "upsample = 2\n"
    examples, dropped = read_all_examples(raw, card)
    assert [e["length"] for e in examples] == [64, 64, 50] and not dropped
    assert {(e["curve"].shape, e["curve"].dtype) for e in examples} == {
        ((64 // every, 1), np.dtype(np.float32))
    }
    assert [e["activity"] for e in examples] == ["stance", "swing", "swing"]
    assert [len(set(e["curve"][: e["length"] // every, 0])) for e in examples] == [2, 2, 2]
    require_phases(examples, every, step if of_rows else 10)


def test_intervals_on_a_clock_since_1970(raw):
    """At a step of 2.4e-7 s between its numbers the edges on samples stay where they are."""
    begin = 1_700_000_000.0
    write(raw, begin=begin)
    write_phases(raw, begin=begin)
    events = EVENTS.replace("2.0, 5.0, 9.7", "2.2, 2.3, 2.9")
    examples, _ = read_all_examples(raw, PLAIN + ACTIVITY + events + PHASE + WINDOW)
    assert len(examples) == 3
    require_phases(examples, begin=0.0)


@pytest.mark.parametrize("lost", [0, 2])
def test_rows_at_uneven_times_leave_no_hole_between_two_words(raw, lost):
    """Each word holds up to the next row, late as it may be, lost rows among them."""
    rng = np.random.default_rng(0)
    acc, gyr = moving_unit(SECONDS, 100)
    time = np.arange(len(acc)) / 100 + rng.uniform(0, 0.004, len(acc))
    table = np.column_stack([time, acc[:, 0] / 9.80665, np.rad2deg(gyr[:, 0]), time])
    is_there = ~((time > 5.11) & (time < 5.11 + lost / 100))
    write_table(raw / "s1_a.csv", table[is_there], COLUMNS)
    words = np.where(np.arange(len(time)) // 3 % 2, "swing", "stance")[is_there]
    write_words(raw, words)
    card = PLAIN.replace("[time]", "[time]\nmax_gap = 0.05") + OF_ROWS + PHASE
    examples, dropped = read_all_examples(
        raw, card + "[window]\nrate = 100\nlength = 64\nstride = 64\n"
    )
    assert set(dropped) <= {"samples interpolated"} and len(examples) == 15
    known = time[is_there]
    for k, e in enumerate(examples):
        last = np.searchsorted(known, known[0] + np.arange(64 * k, 64 * k + 64) / 100 + 1e-7) - 1
        agrees = e["curve"][:, 0] == (words[last] == "swing")
        assert agrees.mean() > 0.95  # the clock is a line through the stamps


def test_numbers_curves_and_classes_stand_side_by_side(raw):
    """Each class has words of its own, of intervals that may overlap; the first of them counts."""
    write(raw)
    gait = [("walk", 0, 2200), ("run", 2200, 9900), ("walk", 2100, 10_000)]
    write_phases(raw, [*gait, *PHASES])
    pace = PHASE.replace('"phase"', '"pace"').replace('["stance", "swing"]', '["run", "walk"]')
    card = PLAIN + ACTIVITY + EVENTS.replace(", 9.7", "") + PHASE + PEAK + CURVE + pace + WINDOW
    examples, dropped = read_all_examples(raw, card)
    assert len(examples) == 2 and not dropped
    require_phases(examples)
    for e, count in zip(examples, (40, 0), strict=True):
        assert e["target"] == e["curve"][20:60, 1].max()
        np.testing.assert_array_equal(e["curve"][:, 2], np.arange(64) < count)


def test_a_word_that_is_not_listed_and_a_hole_drop_the_window(raw):
    write(raw)
    some = [("turn", 5111, 5300), ("stance", 5300, 9500), *PHASES[:4]]  # and nothing from 9.5 s on
    write_phases(raw, some)
    examples, dropped = read_all_examples(raw, PLAIN + ACTIVITY + EVENTS + PHASE + WINDOW)
    assert dropped == {windows.CURVE_GAP: 2} and len(examples) == 1
    require_phases(examples)
    before = EVENTS.replace("2.0, 5.0, 9.7", "4.67, 4.68, 8.8, 9.06, 9.07")  # end at 5.11, 9.5 s
    examples, dropped = read_all_examples(raw, PLAIN + ACTIVITY + before + PHASE + WINDOW)
    starts = [round(float(e["start"]) - BEGIN, 2) for e in examples]
    assert starts == [4.47, 4.48, 8.6, 8.86] and dropped == {windows.CURVE_GAP: 1}


def test_windows_of_a_class_lie_back_to_back_across_the_intervals(raw):
    write(raw)
    write_phases(raw, [*PHASES[:4], ("turn", 5111, 5300), ("stance", 5300, 10_000)])
    card = PLAIN + ACTIVITY + PHASE + "[window]\nrate = 100\nlength = 64\nstride = 50\n"
    examples, dropped = read_all_examples(raw, card)
    starts = [float(e["start"]) - BEGIN for e in examples]
    assert starts == pytest.approx([k / 2 for k in range(19) if k not in (9, 10)])
    assert dropped == {windows.CURVE_GAP: 2} and {e["activity"] for e in examples} == {""}
    require_phases([e for e in examples if e["start"] < BEGIN + 5])
    # A curve alone keeps to them.
    plain, _ = read_all_examples(raw, card.replace(PHASE, CURVE))
    assert [e["activity"] for e in plain][:4] == ["stance", "stance", "stance", "swing"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('classes = ["stance", "swing"]', "", r'"class" and needs "classes", its words'),
        ('["stance", "swing"]', "[]", r'"target\.classes" must be a list that is not empty'),
        ('["stance", "swing"]', '["swing"]', "two or more different words"),
        ('["stance", "swing"]', '["swing", "stance", "swing"]', "two or more different words"),
        ('["stance", "swing"]', '["swing", 1]', r'"target\.classes"\[1\] must be a text'),
        ('"class"', '"curve"\nunit = "N"\ncolumn = "force"', r'"classes", and the .* no "class"'),
        (ACTIVITY, "", r'class "phase" are .* \[activity\] or of "columns\.activity", and neither'),
        ("[events]", PHASE + "[events]", r"two \[\[target\]\] have the name"),
        ('name = "phase"\nstat', 'name = "activity"\nstat', 'has the name "activity", which is'),
        (
            "[events]",
            CURVE + "every = 2\n[events]",
            r'"load" has every = 2 and "phase" every = 1: give all curves the same',
        ),
        (
            "times = [2.0, 5.0, 9.7]",
            'column = "force"\nlevel = 50\npeak = 60',
            r'"events\.peak" .* and "class" has none',
        ),
        *(
            ('"class"', f'"class"\n{key} = {value}', rf'"class", .*, so "{key}" has no place in it')
            for key, value in NOT_OF_A_CLASS.items()
        ),
        (PHASE, TARGET.replace('unit = "N"\n', ""), r'the key "target\.unit" is missing'),
    ],
)
def test_a_class_that_a_card_cannot_ask_for(raw, old, new, says):
    write(raw)
    write_phases(raw)
    card = PLAIN + ACTIVITY + EVENTS + PHASE + WINDOW
    assert old in card
    with pytest.raises(UserError, match=says):
        read_all_examples(raw, card.replace(old, new))


@pytest.mark.parametrize("first", [True, False])
def test_a_data_set_of_classes_is_built_told_of_and_drawn(raw, tmp_path, first):
    for subject in (1, 2):
        write(raw, subject=subject)
    write_phases(raw)
    card = tmp_path / "phases.toml"
    both = PHASE + "every = 3\n", CURVE + "every = 3\n"
    card.write_text(PLAIN + ACTIVITY + EVENTS + "".join(both if first else both[::-1]) + WINDOW)
    path = builders.build("tabular", raw, tmp_path / "data", card=card)
    data = datasets.read(path)
    known = [
        {"name": "phase", "unit": "", "classes": ["stance", "swing"]},
        {"name": "load", "unit": "N"},
    ]
    assert data.info["curves"] == (known if first else known[::-1])
    assert data.curve.shape == (6, 22, 2)
    assert ("curve phase, load [N]" if first else "curve load [N], phase") in repr(data)
    phases, loads = (0, 1) if first else (1, 0)
    examples, _ = read_all_examples(raw, card.read_text())
    require_phases(examples, every=3, column=phases)
    np.testing.assert_array_equal(data.curve, [e["curve"] for e in examples])
    rows = list(csv.DictReader((path / "subjects.csv").read_text().splitlines()))
    assert [name for name in rows[0] if name.startswith("mean")] == [
        "mean largest load [N]",
        "mean smallest load [N]",
    ]
    own = data.curve[data.subject == rows[0]["subject"], :, loads]
    assert float(rows[0]["most largest load [N]"]) == pytest.approx(own.max(), rel=1e-4)
    ax = picture.examples_figure(examples[:1], data.info).axes[2]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), examples[0]["curve"][:, 0])
    assert (ax.lines[0].get_drawstyle() == "steps-post") is first
    assert ([tick.get_text() for tick in ax.get_yticklabels()] == ["stance", "swing"]) is first
