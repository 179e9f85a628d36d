"""What a proposed card leaves aside, and says so: labels, recordings of another kind, the rest."""

import re
import tomllib

import numpy as np
import pytest
from helpers.plain_layout import NAMES, RATE, lines_of, make_values, read, require_equal, write

from imujax.data_builders.tabular import leftovers, proposal

OTHER = ["t", "acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z"]
TIMES = (2.0, 3.1, 4.6, 5.2, 7.9, 8.4)
LABELS = [f"{who},walk,{t},{t / 10}" for who in ("p1", "p2") for t in TIMES]
LABELS = ["who,what,time,step_length_m", *LABELS]


def said(card):
    """The comments on top, below the two that every card has."""
    return [line for line in card.split("\n\n")[0].split("\n") if line.startswith("#")][2:]


def with_labels(card):
    """The card, where the marks before [labels] have been taken away."""
    before, _, rest = card.partition("# [labels]\n")
    table, blank, after = rest.partition("\n\n")
    return f"{before}[labels]\n" + re.sub(r"(?m)^# ", "", table) + blank + after + "before = 10\n"


def test_labels_and_recordings_of_another_kind_lie_in_the_same_folder(tmp_path, plain):
    """The card takes none of them, says what they are, and knows the columns of the labels."""
    for name in ("p1_walk.csv", "p2_walk.csv"):
        write(tmp_path, lines_of(make_values()), name)
    for name in ("watch_1.csv", "watch_2.csv"):
        write(tmp_path, lines_of(make_values(), OTHER), name)
    write(tmp_path, LABELS, "labels.csv")
    write(tmp_path, ["subject,mass", "p1,70", "p2,60"], "people.csv")
    card = proposal.propose_card(tmp_path)
    assert said(card) == [
        "# labels.csv looks like a table of labels: see [labels].",
        f"# 2 files of another kind left aside, e.g. watch_1.csv ({', '.join(OTHER)}): a card of "
        "their own.",
        "# 1 more file left aside, e.g. people.csv: neither both sensors nor labels.",
    ]
    examples = read(tmp_path, card + "motion = 0\n")
    require_equal(examples[:9], plain)
    assert {e["subject"] for e in examples} == {"p1", "p2"} and len(examples) == 18
    labelled = read(tmp_path, with_labels(card))
    found = [(e["subject"], float(e["start"]) + 10 / RATE, float(e["target"][0])) for e in labelled]
    assert found == [
        (who, pytest.approx(t), pytest.approx(t / 10)) for who in ("p1", "p2") for t in TIMES
    ]
    assert '{ column = "step_length_m", unit = "m" }' in card


def test_a_folder_of_recordings_alone_has_nothing_to_say(tmp_path):
    for name in ("p1_walk.csv", "p1_run.csv"):
        write(tmp_path, lines_of(make_values()), name)
    card = proposal.propose_card(tmp_path)
    assert not said(card) and 'files = "*.csv"' in card and "labels" not in card


def test_columns_of_labels_are_known_by_what_stands_in_them_or_by_their_names(tmp_path):
    """Here rows alternate between the recordings; the second have others, and no name of a time."""
    write(tmp_path, lines_of(make_values()), "p1_walk.csv")
    write(tmp_path, lines_of(make_values()), "p2_run.csv")
    rows = [f"{700 - t},{t},walk,p1\n{600 + t},{t + 1},run,p2" for t in TIMES]
    write(tmp_path, ["stance (ms),contact (s),c,d", *rows], "a_b.csv")
    card = proposal.propose_card(tmp_path)
    assert '# subject = "d"' in card and '# recording = "c"' in card
    assert '# time = "contact (s)"' in card
    rows = [f"A,B,{k},{700 - t},{t}" for k, t in enumerate(TIMES)]
    write(tmp_path, ["trial,person,step,stance (ms),contact", *rows], "a_b.csv")
    card = proposal.propose_card(tmp_path)
    assert '# subject = "person"' in card and '# recording = "trial"' in card
    assert '# time = "contact"' in card and "time_unit" not in card
    assert said(card) == ["# a_b.csv looks like a table of labels of other people: see [labels]."]
    write(tmp_path, ["subject,frame,force", *(f"p1,{round(t * RATE)},1" for t in TIMES)], "a_b.csv")
    assert '# time = "frame"  # guess\n# time_unit = "samples"' in proposal.propose_card(tmp_path)
    rows = [f"{k},{t},{'NA' if k % 2 else t},," for k, t in enumerate(TIMES)]
    write(tmp_path, [",time,force,note,", *rows], "a_b.csv")  # as pandas writes its index
    assert re.findall(r'{ column = "(.*?)"', proposal.propose_card(tmp_path)) == ["force"]
    rows = [f"12:00:{t:05.2f},{t}" for t in TIMES]
    write(tmp_path, ["at time,force", *rows], "a_b.csv")
    assert '# time_unit = "hh:mm:ss"' in proposal.propose_card(tmp_path)


def test_many_small_tables_before_the_recordings_do_not_hide_them(tmp_path, plain):
    write(tmp_path, lines_of(make_values()))
    for letter in "abcdef":
        write(tmp_path, ["who,mass", "p1,70", "p2,60", "p3,70"], f"{letter}.csv")
    require_equal(read(tmp_path, proposal.propose_card(tmp_path) + "motion = 0\n"), plain)


def test_recordings_at_another_depth_are_told(tmp_path):
    write(tmp_path, lines_of(make_values()))
    write(tmp_path / "z", lines_of(make_values()), "p2_walk.csv")
    assert said(proposal.propose_card(tmp_path)) == [
        "# 1 file of the same columns left aside, e.g. z/p2_walk.csv: widen `files`."
    ]


@pytest.mark.parametrize(
    ("names", "other", "files"),
    [
        (["p1_walk.csv", "p1_run.csv"], "labels.csv", "*_*.csv"),
        (["p1_walk.csv", "p2_walk.csv"], "p1_labels.csv", "*_walk.csv"),
        (["s1_walk.csv", "s12_run.csv"], "all_labels.csv", "s*.csv"),
        (["p1_walk.csv", "p1_run.csv"], "p1_labels.csv", "*[!s].csv"),
        (["S1/walk.csv", "S2/walk.csv"], "S0/labels.csv", "*/walk.csv"),
        (["S1/walk.csv", "S2/run.csv"], "S0/labels.csv", "*/[!l]*.csv"),
    ],
)
def test_the_pattern_takes_the_recordings_alone(tmp_path, names, other, files):
    """No folder of its own is asked for as long as a pattern tells them apart."""
    for name, lines in [*((name, lines_of(make_values())) for name in names), (other, LABELS)]:
        path = tmp_path / name
        write(path.parent, lines, path.name)
    card = proposal.propose_card(tmp_path)
    assert f'files = "{files}"' in card and "move" not in card
    assert len(read(tmp_path, card + "motion = 0\n")) == 18


def test_what_no_pattern_tells_apart_is_named(tmp_path):
    for name in ("p1_walk.csv", "q1_labels.csv"):
        write(tmp_path, lines_of(make_values()), name)
    write(tmp_path, LABELS, "p1_labels.csv")
    write(tmp_path, LABELS, "q1_walk.csv")
    assert "too; move or rename what is none" in proposal.propose_card(tmp_path)


def test_labels_of_each_recording_have_its_name_in_braces(tmp_path):
    for who in ("anna", "ben"):
        write(tmp_path / who, lines_of(make_values()), "walk.csv")
        write(tmp_path / who, ["time;good;force", *(f"{t};yes;{t}" for t in TIMES)], "marks.txt")
    card = proposal.propose_card(tmp_path)
    assert said(card) == [
        "# 2 files look like tables of labels, e.g. anna/marks.txt: see [labels]."
    ]
    assert 'file = "{subject}/marks.txt"' in card
    found = read(tmp_path, with_labels(card))
    assert [e["subject"] for e in found] == ["anna"] * 6 + ["ben"] * 6
    np.testing.assert_allclose([e["target"][0] for e in found], 2 * TIMES, rtol=1e-6)


def test_labels_on_a_clock_of_their_own_count_from_the_start(tmp_path):
    values = make_values() + np.eye(7)[0] * 1767657598.5
    for who in ("p1", "p2"):
        write(tmp_path, lines_of(values), f"{who}_walk.csv")
    write(tmp_path, LABELS, "labels.csv")
    card = proposal.propose_card(tmp_path)
    assert 'time_unit = "s from start"' in card
    assert len(read(tmp_path, with_labels(card))) == 12


@pytest.mark.parametrize(
    "lines",
    [
        ["time,force", *(f"{k / 100:.2f},{k % 7}" for k in range(200))],
        ["start time,end time,name", *(f"{t},{t + 1},sit" for t in TIMES)],
        ["subject,recording,step_length_m", "p1,walk,1.2", "p1,run,1.3"],
        ["time,what", *(f"{t},good" for t in TIMES)],
        ["Nothing of note", "but this"],
    ],
    ids=["a regular signal", "intervals", "no time", "no number", "words"],
)
def test_what_are_no_labels(tmp_path, lines):
    write(tmp_path, lines_of(make_values(), NAMES))
    write(tmp_path, lines, "more.csv")
    card = proposal.propose_card(tmp_path)
    assert said(card) == [
        "# 1 more file left aside, e.g. more.csv: neither both sensors nor labels."
    ]
    assert "[labels]" not in card


def test_names_from_files_cannot_write_lines_of_the_card(tmp_path):
    """A line break in the name of a file, and an apostrophe in that of a folder."""
    for who in ("p1", "p2"):
        write(tmp_path / "Anna's data" / who, lines_of(make_values()), "walk.csv")
    write(tmp_path / "Anna's data", ["a,b", "x,y"], "la\nbels = 1\n.csv")
    card = proposal.propose_card(tmp_path)
    assert tomllib.loads(card)["match"] == r"^Anna's\ data/(?P<subject>[^/]+)/"
    assert "bels = 1" not in [line.strip() for line in card.split("\n")]
    assert r"e.g. Anna's data/la\nbels = 1\n.csv" in card


def test_recordings_without_names_beside_a_text(tmp_path, plain):
    for name in ("p1_walk.csv", "p2_walk.csv"):
        write(tmp_path, lines_of(make_values())[1:], name)
    write(tmp_path, ["so it was"], "notes.csv")
    write(tmp_path, LABELS, "labels.csv")
    card = proposal.propose_card(tmp_path)
    assert "labels.csv looks like a table of labels" in card and "names = [" in card


def test_labels_that_only_some_recordings_have(tmp_path):
    for who in ("anna", "ben", "carl"):
        write(tmp_path / who, lines_of(make_values()), "walk.csv")
    for who in ("ben", "carl"):
        write(
            tmp_path / who, ["time,step_length_m", *(f"{t},{t / 10}" for t in TIMES)], "marks.csv"
        )
    assert '# file = "{subject}/marks.csv"' in proposal.propose_card(tmp_path)


def test_who_was_not_looked_at_is_said_so(tmp_path, monkeypatch):
    monkeypatch.setattr(leftovers, "MOST_GROUPS", 2)
    write(tmp_path, lines_of(make_values()))
    for letter in "abcd":
        write(tmp_path, LABELS, f"{letter}.csv")
    assert said(proposal.propose_card(tmp_path)) == [
        "# 2 files look like tables of labels, e.g. a.csv: see [labels].",
        "# 2 more files left aside, e.g. c.csv: not looked at.",
    ]
