"""Events told by samples, clocks of text and other files, and targets that are durations."""

import datetime

import numpy as np
import pytest
from helpers import people
from helpers.plain_layout import CARD, NAMES, RATE, lines_of, make_values, read, write
from helpers.tabular_files import read_all_examples

from imujax.data_builders.tabular import reading
from imujax.errors import UserError

LABELS = """
[events]
file = "{events}.csv"
column = "row"
time_unit = "samples"
[target]
name = "stance time"
unit = "s"
column = "force"
statistic = "duration"
level = 20
to = 1.0
"""


def labelled_card(**changes):
    card = CARD.replace('files = "*.csv"', 'files = "p*.csv"')
    card = card.replace("motion = 0", "before = 10") + LABELS.replace("{events}", "events")
    for old, new in changes.values():
        assert old in card
        card = card.replace(old, new)
    return card


@pytest.fixture
def contacts(tmp_path):
    """Contacts at rows 50, 150, 400 of .4, .62 and .8 s, and one that never ends."""
    values = make_values()
    force = np.zeros(len(values))
    for begin, count in ((50, 20), (150, 31), (400, 40), (500, 100)):
        force[begin : begin + count] = 500
    rows = np.concatenate([values, force[:, None]], axis=1)
    rows[:, 0] += 7.5
    rows = np.delete(rows, [300, 301], axis=0)  # a gap: later rows have other numbers
    write(tmp_path, lines_of(rows, [*NAMES, "force"]), "p1_walk.csv")
    write(tmp_path, ["row", "50", "150", "398", "498", "598"], "events.csv")
    write(tmp_path, ["row", "51", "151", "399", "499", "599"], "matlab.csv")
    write(tmp_path, ["off", "10.91", "9.12", "16.32"], "offs.csv")
    return tmp_path


def test_a_duration_runs_to_the_next_crossing_of_a_level(contacts):
    gap = ('column = "time"', 'column = "time"\nmax_gap = 0.1')
    card = labelled_card(gap=gap)
    examples, dropped = read_all_examples(contacts, card)
    starts = np.array([e["start"] for e in examples]) + 10 / RATE
    np.testing.assert_allclose(starts, np.array([50, 150, 400]) / RATE + 7.5)
    targets = [float(e["target"][0]) for e in examples]
    assert targets == pytest.approx([0.4, 0.62, 0.8])
    assert dropped["events without a crossing for the target"] == 1  # the fourth
    assert dropped["events whose window leaves the recording"] == 1  # the fifth
    by_one = labelled_card(
        gap=gap, file=("events.csv", "matlab.csv"), unit=('"samples"', '"samples from 1"')
    )
    assert [float(e["target"][0]) for e in read(contacts, by_one)] == targets
    above = labelled_card(gap=gap, until=("level = 20", 'level = 20\nuntil = "above"\nfrom = 0.5'))
    assert not read(contacts, above)


OF_SENSOR = """
[events]
sensor = "shank"
peaks = "acc"
band = [0.5, 15]
prominence = 2.0
distance = 0.4
"""


def test_labelled_windows_lie_at_the_peaks_of_a_sensor(tmp_path):
    """The bump of each second is the peak of the force, which alone the other card looks at."""
    raw = people.write_people(tmp_path, subjects=2, seconds=20)
    text = (raw / "force.toml").read_text().replace("from = 0.0\nto = 0.3", "from = -0.2\nto = 0.3")
    by_force, _ = read_all_examples(raw, text)
    start, end = text.index("[events]"), text.index("[[target]]")
    by_peak, _ = read_all_examples(raw, text[:start] + OF_SENSOR.lstrip() + text[end:])
    assert len(by_peak) == pytest.approx(len(by_force), abs=2)
    targets = {(e["subject"], round(e["start"])): float(e["target"][0]) for e in by_force}
    shared = [e for e in by_peak if (e["subject"], round(e["start"])) in targets]
    assert len(shared) > 30
    for example in shared:
        key = (example["subject"], round(example["start"]))
        assert float(example["target"][0]) == pytest.approx(targets[key])
    centres = np.array([e["start"] + 0.08 for e in by_peak])  # eight samples before an event
    np.testing.assert_allclose(centres % 1, 0.5, atol=0.05)


def test_a_training_card_reads_recordings_for_a_model(tmp_path):
    """What is measured is left aside: its sides, the rule on its span, its columns."""
    raw = people.write_people(tmp_path, subjects=1, seconds=5)
    text = (raw / "force.toml").read_text().replace("level = 50", "level = 50\npeak = 150")
    text = text.replace('files = "*.csv"', 'files = "*.csv"\nsides = ["left", "right"]')
    text = text.replace('name = "peak force"\nunit = "N"\ncolumn = "force"', SIDED)
    card = raw / "sides.toml"
    card.write_text(text)
    recordings = list(reading.read_sensors(card, raw))
    assert [r.recording for r in recordings] == ["walk/left", "walk/right"]
    assert all(r.events == {} for r in recordings)
    with pytest.raises(UserError, match=r'"events\.peak" is looked for'):
        list(reading.read_sensors(card, raw, with_events=True))


SIDED = 'name = "peak force"\nunit = "N"\ncolumn = "{side} force"'


def test_a_duration_runs_to_a_second_event_of_a_file(contacts):
    second = 'column = "off"\nfile = "offs.csv"'
    card = labelled_card(
        gap=('column = "time"', 'column = "time"\nmax_gap = 0.1'),
        column=('column = "force"', second),
        level=("level = 20\n", ""),
    )
    examples, dropped = read_all_examples(contacts, card)
    expected = [9.12 - 8.5, 10.91 - 10.5, 16.32 - 15.5]
    assert [float(e["target"][0]) for e in examples] == pytest.approx(expected)
    assert dropped["events without a second one for the target"] == 1


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("level = 20\n", "", '"file" and "column" of event times'),
        ('"duration"', '"max"', '"level" or "until", and the statistic is no "duration"'),
        ('column = "row"', 'column = "row"\nlevel = 3\nrate = 1', "times alone"),
        ("to = 1.0", 'to = 1.0\ntime_unit = "samples"', "times alone"),
        ('files = "p*.csv"', 'files = "p*.csv"\nheader_has = "a"\nskip_rows = 1', "leave out"),
    ],
)
def test_what_a_card_cannot_mean_is_said(contacts, old, new, says):
    with pytest.raises(UserError, match=says):
        read(contacts, labelled_card(change=(old, new)))


def iso(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat()


def of_day(seconds):
    return f"{datetime.timedelta(seconds=seconds % 86400)}"


@pytest.mark.parametrize(
    ("unit", "show", "begin"), [("ISO 8601", iso, 1767657598.5), ("hh:mm:ss", of_day, 86398.5)]
)
def test_clocks_of_text_are_those_of_events_activities_and_labels_too(tmp_path, unit, show, begin):
    """A recording over midnight, with all three files on its clock."""
    values = make_values()
    values[:, 0] += begin
    rows = [line.split(",", 1)[1] for line in lines_of(values)[1:]]
    rows = [f"{show(t)},{row}" for t, row in zip(values[:, 0], rows, strict=True)]
    write(tmp_path, [",".join(NAMES), *rows], "p1_walk.csv")
    times = begin + np.array([1.0, 4.0, 9.0])
    write(tmp_path, ["when", *map(show, times), ""], "events.csv")
    write(tmp_path, ["when,force", *(f"{show(t)},{k}" for k, t in enumerate(times))], "labels.csv")
    spans = [("walk", begin, begin + 5), ("rest", begin + 5, begin + 12)]
    lines = [f"{name},{show(a)},{show(b)}" for name, a, b in spans]
    write(tmp_path, ["name,from,to", *lines], "spans.csv")
    clock = f'column = "time"\nunit = "{unit}"'
    card = CARD.replace('column = "time"', clock).replace('files = "*.csv"', 'files = "p*.csv"')
    card = card.replace("motion = 0", "before = 10")
    card += f"""
[activity]
file = "spans.csv"
name = "name"
start = "from"
end = "to"
unit = "{unit}"
"""
    labels = f"""
[labels]
file = "labels.csv"
time = "when"
time_unit = "{unit}"
targets = [{{ column = "force", unit = "N" }}]
"""
    by_label = read(tmp_path, card + labels)
    assert [float(e["target"][0]) for e in by_label] == [0, 1, 2]
    events = f"""
[events]
file = "events.csv"
column = "when"
time_unit = "{unit}"
[target]
name = "ax"
unit = "m/s^2"
column = "ax"
statistic = "value"
"""
    by_event = read(tmp_path, card + events)
    at = np.round((times - begin) * RATE).astype(int)
    np.testing.assert_allclose([e["target"][0] for e in by_event], values[at, 1], atol=1e-3)
    for examples in (by_label, by_event):
        assert [e["activity"] for e in examples] == ["walk", "walk", "rest"]
        for example, row in zip(examples, at, strict=True):
            np.testing.assert_allclose(
                example["acc"][:, 0], values[row - 10 : row + 54, 1:4], atol=1e-4
            )
    write(tmp_path, ["when", "noon"], "events.csv")
    with pytest.raises(UserError, match=r'events.csv: the time stamp of row 0 is "noon"'):
        read(tmp_path, card + events)


@pytest.mark.parametrize(("unit", "factor"), [("s from start", 1), ("ms from start", 1000)])
def test_events_may_count_from_the_start_of_a_file_whose_clock_has_a_date(tmp_path, unit, factor):
    """As a table of stance times has them; a gap and a split leave the start where it is."""
    values = make_values()
    values = np.delete(values, slice(250, 290), axis=0)  # .8 s are missing
    values[:, 0] += 1767657598.5
    rows = [line.split(",", 1)[1] for line in lines_of(values)[1:]]
    rows = [f"{iso(t)},{row}" for t, row in zip(values[:, 0], rows, strict=True)]
    write(tmp_path, [",".join(NAMES), *rows], "p1_walk.csv")
    times = [1.0, 3.0, 9.0]
    told = (f"p1,walk,{factor * t:g},{k}" for k, t in enumerate(times))
    write(tmp_path, ["who,what,when,force", *told], "labels.csv")
    clock = 'column = "time"\nunit = "ISO 8601"\nsplit = true'
    card = CARD.replace('column = "time"', clock).replace('files = "*.csv"', 'files = "p*.csv"')
    card = card.replace("motion = 0", "before = 10")
    labels = """
[labels]
file = "labels.csv"
subject = "who"
recording = "what"
time = "when"
time_unit = "UNIT"
targets = [{ column = "force", unit = "N" }]
"""
    found = read(tmp_path, card + labels.replace("UNIT", unit))
    assert [float(e["target"][0]) for e in found] == [0, 1, 2]
    starts = np.array([e["start"] for e in found], np.float64)
    np.testing.assert_allclose(np.diff(starts), np.diff(times), atol=0.02)
    events = f"""
[events]
file = "labels.csv"
column = "when"
time_unit = "{unit}"
[target]
name = "ax"
unit = "m/s^2"
column = "ax"
statistic = "max"
to = 0.2
"""
    assert [e["start"] for e in read(tmp_path, card + events)] == [e["start"] for e in found]
    plain = unit.replace(" from start", "")
    with pytest.raises(UserError, match=r'lie at 1 to 9 s, .* time_unit = "s from start"'):
        read(tmp_path, card + labels.replace("UNIT", plain))


def test_a_table_of_labels_may_tell_words_in_the_place_of_numbers(tmp_path):
    """Of each event what somebody does: the activity of its window; one without is counted."""
    write(tmp_path, lines_of(make_values(), NAMES), "p1_walk.csv")
    rows = ["when,what,size", "2,turn,1.5", "4,,2.5", "5, stairs ,3.5"]
    write(tmp_path, rows, "labels.csv")
    card = CARD.replace('files = "*.csv"', 'files = "p*.csv"').replace("motion = 0", "before = 10")
    labels = '[labels]\nfile = "labels.csv"\ntime = "when"\nactivity = "what"\n'
    found, dropped = read_all_examples(tmp_path, card + labels)
    assert [(e["activity"], round(float(e["start"]) + 10 / RATE, 2)) for e in found] == [
        ("turn", 2.0),
        ("stairs", 5.0),
    ]
    assert all("target" not in e for e in found)
    assert dropped["events without activity"] == 1
    both = labels + 'targets = [{ column = "size", unit = "m" }]\n'
    found, _ = read_all_examples(tmp_path, card + both)
    assert [(e["activity"], e["target"].tolist()) for e in found] == [
        ("turn", [1.5]),
        ("stairs", [3.5]),
    ]
    with pytest.raises(UserError, match=r'needs "targets", .*, or "activity", a column of words'):
        read_all_examples(tmp_path, card + labels.replace('activity = "what"\n', ""))
