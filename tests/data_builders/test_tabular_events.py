"""Events told by samples, clocks of text and other files, and targets that are durations."""

import datetime

import numpy as np
import pytest
from helpers.plain_layout import CARD, NAMES, RATE, lines_of, make_values, read, write
from helpers.tabular_files import read_all_examples

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
