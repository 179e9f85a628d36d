"""The card of the tabular builder: every key checked, every mistake named."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from imujax.data_builders.tabular import keys, kinds, parse
from imujax.data_builders.tabular.card import fill_template
from imujax.errors import UserError

PLAIN = """
files = "*.csv"
match = '(?P<subject>s\\d+)_(?P<recording>\\w+)'
[time]
rate = 100
[units]
acc = "g"
gyr = "deg/s"
[sensors.shank]
acc = ["ax", "ay", "az"]
gyr = ["gx", "gy", "gz"]
[window]
rate = 100
length = 64
"""
LABELLED = (
    PLAIN.replace('files = "*.csv"', 'files = "*.csv"\nsides = ["left", "right"]')
    .replace('"ax"', '"{side} ax"')
    .replace("length = 64", "length = 64\nbefore = 20")
    + """
[events]
column = "{side} force"
level = 50
[target]
name = "peak"
unit = "N"
column = "{side} force"
to = 0.4
statistic = "max"
"""
)


MIRROR = "frame = [[1,0,0],[0,1,0],[0,0,-1]]"
TURN = "frame = [[0.707,0.707,0],[-0.707,0.707,0],[0,0,1]]"
COLUMN = 'column = "{side} force"\nlevel = 50'
OF_SHANK = 'sensor = "shank"\npeaks = "gyr"\nheight = 3'
SENSORS = PLAIN[PLAIN.index("[sensors") : PLAIN.index("[window")]
EVENTS = LABELLED[LABELLED.index("[events") : LABELLED.index("[target")]
TARGET = LABELLED[LABELLED.index("[target") :]
TARGETS = TARGET.replace("[target]", "[[target]]")
CURVE = """
[[target]]
name = "load"
unit = "N"
column = "{side} force"
statistic = "curve"
"""
CURVE_LACKS = {"from": 0.1, "to": 0.4, "to_share": 0.5, "level": 20, "until": "'above'"}


def _load(text):
    return parse.parse_card(text, Path("mine.toml"))


def test_defaults_of_a_plain_card():
    card = _load(PLAIN)
    assert (card.name, card.measured, card.events, card.sides) == ("mine", (), None, ())
    assert (card.window.stride, card.window.motion) == (64, 0.3)
    assert card.sensors[0].acc.names == ["ax", "ay", "az"] and card.sensors[0].frame is None
    assert (card.time.max_gap, card.rest_error) == (0.0, 0.1)


def test_values_of_a_labelled_card():
    card = _load(LABELLED)
    assert (card.window.before, card.window.pad) == (20, False)
    (target,) = card.measured
    assert (target.start, target.end, target.end_share) == (0.0, 0.4, None)
    assert (card.events.level, card.events.distance, card.events.peak) == (50, 0, -math.inf)


def test_a_rounded_frame_is_made_exact():
    card = _load(PLAIN.replace("[window]", f"{TURN}\n[window]"))
    frame = np.array(card.sensors[0].frame)
    np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(frame[0], [0.5**0.5, 0.5**0.5, 0], atol=1e-12)


def test_braces_are_filled_once_and_nothing_is_formatted():
    groups = {"subject": "{side}", "side": "left"}
    assert fill_template("{subject}/{side}/{other}/{0.__class__}", groups) == (
        "{side}/left/{other}/{0.__class__}"
    )


MISTAKES = {
    "unknown key": (PLAIN, "length = 64", "lenght = 64", ["window.lenght", '"length"']),
    "unknown table": (PLAIN, "[units]", "[unit]", ['"unit"', '"units"']),
    "unknown key of a sensor": (PLAIN, "gyr = [", "gyro = [", ["sensors.shank.gyro", '"gyr"']),
    "missing key": (PLAIN, "length = 64", "", ['"window.length" is missing']),
    "missing table": (PLAIN, '[units]\nacc = "g"\ngyr = "deg/s"', "", ['"units" is missing']),
    "not TOML": (PLAIN, "[units]", "[units", ["not valid TOML", "line"]),
    "wrong type": (PLAIN, "length = 64", 'length = "64"', ["window.length", "whole number"]),
    "a flag as a number": (PLAIN, "rate = 100\n[units]", "rate = true\n[units]", ["time.rate"]),
    "not a number": (PLAIN, "rate = 100\n[units]", "rate = nan\n[units]", ["time.rate", "finite"]),
    "negative rate": (PLAIN, "rate = 100\n[units]", "rate = -1\n[units]", ["greater than 0"]),
    "no clock": (PLAIN, "rate = 100\n[units]", "[units]", ["[time]", '"column" or "rate"']),
    "unknown unit": (PLAIN, '"deg/s"', '"dps"', ["units.gyr", "deg/s"]),
    "five columns": (PLAIN, '"gx", "gy", "gz"', '"gx", "gy"', ["sensors.shank.gyr", "list of 3"]),
    "no sensor": (
        PLAIN,
        SENSORS,
        "[sensors]\n",
        ["empty"],
    ),
    "no subject": (PLAIN, "(?P<subject>s\\d+)", "s\\d+", ["(?P<subject>...)"]),
    "no expression": (PLAIN, "match", "name = 'x'\n#", ["(?P<subject>...)"]),
    "bad expression": (PLAIN, "(?P<subject>s", "(?P<subject>(s", ["not a regular expression"]),
    "mirrored frame": (
        PLAIN,
        "[window]",
        f"{MIRROR}\n[window]",
        ["rotation"],
    ),
    "path above": (PLAIN, '"*.csv"', '"../*.csv"', ['"files"', "inside the raw folder"]),
    "absolute path": (PLAIN, '"*.csv"', '"/etc/*.csv"', ["inside the raw folder"]),
    "home": (PLAIN, '"*.csv"', '"~/*.csv"', ["inside the raw folder"]),
    "drive": (PLAIN, '"*.csv"', "'C:\\x.csv'", ["inside the raw folder"]),
    "braces": (LABELLED, '"{side} force"\nto', '"{sid} force"\nto', ["{sid}", '"side"']),
    "unused sides": (LABELLED, "{side} ", "", ["{side}"]),
    "side twice": (LABELLED, '"right"', '"left"', ["twice"]),
    "a curve of one name": (
        LABELLED,
        TARGET,
        TARGETS + CURVE.replace("load", "peak"),
        ["two [[target]] have the name"],
    ),
    **{
        f"a curve and {key}": (
            LABELLED,
            TARGET,
            TARGETS + CURVE + f"{key} = {value}\n",
            ['is a "curve" over the whole window', f'so "{key}" has no place'],
        )
        for key, value in CURVE_LACKS.items()
    },
    "every of a number": (LABELLED, "to = 0.4", "to = 0.4\nevery = 2", ['"every"', '"curve"']),
    "every nothing": (LABELLED, TARGET, CURVE + "every = 0", ['"target.every"']),
    "two grids": (
        LABELLED,
        TARGET,
        CURVE + CURVE.replace("load", "push") + "every = 4",
        ['"load" has every = 1 and "push" every = 4'],
    ),
    "a curve without a column": (
        LABELLED,
        TARGET,
        CURVE.replace("column", "#"),
        ["target.column"],
    ),
    "a curve divided by nobody": (
        LABELLED,
        TARGET,
        CURVE + 'divide_by = ["mass"]',
        ["body.mass"],
    ),
    "peaks along a curve": (
        LABELLED,
        "level = 50\n" + TARGET,
        "level = 50\npeak = 60\n" + CURVE,
        ["events.peak", '"curve" has none'],
    ),
    "curves nowhere": (PLAIN, "[window]", CURVE + "[window]", ["[events]", "window.stride"]),
    "numbers back to back": (
        PLAIN,
        "[window]",
        CURVE + TARGETS + "[window]\nstride = 20",
        ["[events]", "curves alone"],
    ),
    "two of one name": (LABELLED, TARGET, 2 * TARGETS, ["two [[target]] have the name", "its own"]),
    "target alone": (
        LABELLED,
        EVENTS,
        "",
        ["[events]"],
    ),
    "stride at events": (LABELLED, "before = 20", "stride = 20", ["window.stride", "labelled"]),
    "before without events": (PLAIN, "length = 64", "length = 64\nbefore = 1", ["window.before"]),
    "before too long": (LABELLED, "before = 20", "before = 65", ["window.before"]),
    "no end": (LABELLED, "to = 0.4", "", ['"to"', '"to_share"']),
    "end before start": (LABELLED, "to = 0.4", "to = -0.1", ["target.to"]),
    "two ends": (LABELLED, "to = 0.4", "to = 0.4\nto_share = 0.5", ['"to"', '"to_share"']),
    "unknown statistic": (LABELLED, '"max"', '"maximum"', ["target.statistic", '"max"']),
    "value has no end": (LABELLED, '"max"', '"value"', ['"from"']),
    "no mass": (LABELLED, "to = 0.4", 'to = 0.4\ndivide_by = ["mass"]', ["body.mass"]),
    "unknown divisor": (LABELLED, "to = 0.4", 'to = 0.4\ndivide_by = ["mas"]', ['"mass"']),
    "zero": (LABELLED, "to = 0.4", "to = 0.4\ndivide_by = [0]", ["must not be 0"]),
    "no clock of its own": (
        LABELLED,
        "to = 0.4",
        'to = 0.4\nfile = "x.csv"',
        ["[target]", "rate"],
    ),
    "clock without file": (LABELLED, "to = 0.4", "to = 0.4\nrate = 10", ["[target]", "[time]"]),
    "times and level": (LABELLED, "level = 50", "level = 50\ntimes = [1.0]", ["times", '"column"']),
    "rule without level": (
        LABELLED,
        "level = 50",
        'file = "x.csv"\nhold = 0.1',
        ["hold", "level"],
    ),
    "no rule": (LABELLED, "level = 50", "", ["[events]", '"level"']),
    "no such sensor": (LABELLED, COLUMN, OF_SHANK.replace("shank", "shin"), ['"shank"']),
    "no way": (LABELLED, COLUMN, 'sensor = "shank"', ['"contacts" and "peaks"']),
    "two ways": (LABELLED, COLUMN, OF_SHANK + '\ncontacts = "shank"', ['"contacts" and "peaks"']),
    "any peak": (LABELLED, COLUMN, OF_SHANK.replace("height", "distance"), ['a "height"']),
    "a level of peaks": (LABELLED, COLUMN, OF_SHANK + "\nlevel = 3", ['so "level" has no place']),
    "unknown contacts": (LABELLED, COLUMN, 'sensor = "shank"\ncontacts = "shnk"', ['"shank"']),
    "a peak of nothing": (LABELLED, COLUMN, COLUMN + "\nheight = 3", ['"height" without "sensor"']),
    "a band of one": (LABELLED, COLUMN, OF_SHANK + "\nband = [3, 3]", ["events.band", "lower"]),
    "two containers": (
        PLAIN,
        "[time]",
        '[hdf5]\ndataset = "x"\n[mat]\nvariable = "x"\n[time]',
        ["[hdf5] and [mat]"],
    ),
    "same characters": (PLAIN, "[time]", 'delimiter=";"\ndecimal=";"\n[time]', ["same character"]),
    "name": (PLAIN, "[time]", 'name = "a/b"\n[time]', ['"name"', "a/b"]),
    "body table": (
        PLAIN,
        "[time]",
        'body.mass = {file = "a.csv", column = "m"}\n[time]',
        ["[body.mass]", "subject"],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named(name):
    text, old, new, words = MISTAKES[name]
    assert old in text
    with pytest.raises(UserError) as error:
        _load(text.replace(old, new))
    sentence = str(error.value)
    assert sentence.startswith("the card mine.toml")
    assert all(word in sentence for word in words), sentence


def test_the_readme_tells_of_every_key_and_its_cards_are_right():
    text = (Path(parse.__file__).parent / "README.md").read_text()
    cards = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    first = cards[0]
    whole = [card for card in cards if card.startswith("files")]
    parts = [card for card in cards if card not in whole]
    assert (len(whole), len(parts)) == (3, 5)
    for card in whole:
        _load(card)
    of_curve, of_class, of_sensors, of_events, of_labels = parts
    both = whole[1].replace("[target]", "[[target]]") + of_curve + "[body]\nmass = 70\n"
    assert [len(kind) for kind in (_load(both).numbers, _load(both).curves)] == [1, 1]
    alone = _load(first + "stride = 64\n" + of_class).curves
    assert [one.classes for one in alone.values()] == [("stance", "swing")]
    head, tail = first.split("[sensors.shank]")
    loaded = _load(head + of_sensors + tail[tail.index("[window]") :])
    assert loaded.sensors[0].gyr.file == "{subject}/Gyroscope.csv"
    assert loaded.sensors[1].acc.columns[2] == ("userZ", "gravityZ")
    assert [target["unit"] for target in _load(first + of_labels).targets] == ["m", "s"]
    back = first.replace("[sensors.shank]", "[sensors.back]")
    assert parse.parse_card(back + of_events, Path("a.toml"), to_estimate=True).events.of_sensor
    tables = [keys.CARD, keys.EVENTS, keys.TARGET, keys.ACTIVITY, keys.WINDOW]
    tables += [keys.TIME, keys.UNITS, keys.AXES, keys.COLUMNS, keys.LABELS]
    of_tables = (kinds.table, kinds.table_or_tables)
    names = {k for table in tables for k, (kind, _) in table.items() if kind not in of_tables}
    names |= {"rest_error", "acc", "gyr", "frame", "dataset", "columns", "trim", "mass", "height"}
    assert not [key for key in names if f"`{key}`" not in text]


def test_a_card_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"gone\.toml cannot be read: No such file"):
        parse.load_card(tmp_path / "gone.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    with pytest.raises(UserError, match=r"latin\.toml is not UTF-8"):
        parse.load_card(tmp_path / "latin.toml")
