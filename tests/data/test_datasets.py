"""Data sets on disk: found by name, read as arrays, without any builder's code."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from helpers.raw_files import write_ipol, write_sisfall

import imujax
from imujax.data import builders, datasets
from imujax.data_builders import base
from imujax.data_builders.ipol_gait import files as ipol
from imujax.errors import UserError


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return write_ipol(tmp_path_factory.mktemp("raw") / "ipol")


@pytest.fixture(scope="module")
def data(tmp_path_factory, raw):
    """A folder with two data sets of one builder."""
    folder = tmp_path_factory.mktemp("data")
    builders.build("ipol_gait", raw, folder)
    builders.build("ipol_gait", raw, folder, task="stance_time")
    return folder


def test_arrays_are_what_the_builder_made(data, raw):
    path = datasets.find_dataset(data, "ipol_gait/windows_100hz_w128_s128")
    got = datasets.read(path)
    options = ipol.complete_options({})
    items = ipol.list_items(raw, options)
    truth = [example for item in items for example in ipol.read_examples(item, options)[0]]
    assert len(truth) == len(got.acc) == got.info["kept"] > 10
    for name in ("acc", "gyr", "length", "start", *datasets.STRING_FEATURES):
        np.testing.assert_array_equal(getattr(got, name), [e[name] for e in truth])
    assert got.acc.dtype == got.gyr.dtype == np.float32
    assert got.target is None and got.subject.dtype.kind == "U"


def test_sensors_are_picked_and_ordered(data):
    path = datasets.find_dataset(data, "ipol_gait/windows_100hz_w128_s128")
    all_of_them, two = datasets.read(path), datasets.read(path, sensors=("rf", "lb"))
    np.testing.assert_array_equal(two.acc, all_of_them.acc[:, :, [2, 0]])
    np.testing.assert_array_equal(two.gyr, all_of_them.gyr[:, :, [2, 0]])
    assert two.info["sensors"] == ["rf", "lb"]
    few = datasets.read(path, limit=3)
    np.testing.assert_array_equal(few.acc, all_of_them.acc[:3])
    assert len(few.subject) == len(few.start) == 3
    with pytest.raises(UserError, match="no sensor hand: there are lb, lf, rf"):
        datasets.read(path, sensors=("lb", "hand"))


def test_targets_have_their_columns(data):
    got = datasets.read(datasets.find_dataset(data, "ipol_gait/stance_time_100hz_b32_a96"))
    assert got.target.shape == (len(got.start), 1) and got.target.dtype == np.float32


def test_a_data_set_in_a_notebook(data):
    """By the path that a build prints, or without its version; a table of what each window is."""
    path = datasets.find_dataset(data, "ipol_gait/stance_time_100hz_b32_a96")
    got = imujax.read(path.parent)
    np.testing.assert_array_equal(got.acc, datasets.read(path).acc)
    table = got.table()
    target = got.info["targets"][0]["name"]
    assert list(table.columns) == [*datasets.STRING_FEATURES, "start", "length", target]
    np.testing.assert_array_equal(table[target], got.target[:, 0])
    assert table["subject"].tolist() == got.subject.tolist() and len(table) == len(got.acc)
    counted = f"{len(got.acc)} examples of {len(set(got.subject))} subjects, 128 samples at 100 Hz"
    assert repr(got).startswith(counted) and repr(got).endswith("target stance time [s]")
    plain = imujax.read(data / "ipol_gait" / "windows_100hz_w128_s128")
    assert list(plain.table().columns) == [*datasets.STRING_FEATURES, "start", "length"]


def test_a_table_without_pandas_is_one_sentence(data, monkeypatch):
    got = imujax.read(data / "ipol_gait" / "windows_100hz_w128_s128")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match="needs pandas, which is not installed"):
        got.table()


def test_find_takes_the_newest_version_and_lists_what_there_is(data, tmp_path):
    folder = tmp_path / "sisfall" / "100hz_w128_s128"
    for version in ("1.0.0", "1.9.0", "1.10.0"):
        (folder / version).mkdir(parents=True)
        (folder / version / "dataset_info.json").write_text("{}")
    (folder / "incomplete.AAAAAA_2.0.0").mkdir()
    (folder / "incomplete.AAAAAA_2.0.0" / "dataset_info.json").write_text("{}")
    assert datasets.find_dataset(tmp_path, "sisfall/100hz_w128_s128") == folder / "1.10.0"
    assert datasets.find_dataset(tmp_path, "sisfall/100hz_w128_s128/1.9.0") == folder / "1.9.0"
    assert datasets.find_dataset("elsewhere", folder / "1.0.0") == folder / "1.0.0"
    with pytest.raises(UserError, match=r"there is sisfall/100hz_w128_s128$"):
        datasets.find_dataset(tmp_path, "sisfall/50hz")
    with pytest.raises(UserError, match="there is nothing"):
        datasets.find_dataset(tmp_path / "none", "sisfall/50hz")


def test_a_folder_that_is_no_data_set_is_named(tmp_path):
    with pytest.raises(UserError, match="no finished data set"):
        datasets.read(tmp_path)


def test_a_fingerprint_tells_builds_apart_and_not_machines(data, raw, tmp_path):
    one = datasets.find_dataset(data, "ipol_gait/windows_100hz_w128_s128")
    again = builders.build("ipol_gait", raw, tmp_path / "again")
    other = datasets.find_dataset(data, "ipol_gait/stance_time_100hz_b32_a96")
    assert datasets.fingerprint(one) == datasets.fingerprint(again)
    assert datasets.fingerprint(one)["name"] == "ipol_gait/windows_100hz_w128_s128"
    assert set(datasets.fingerprint(other)["files"]) < set(datasets.fingerprint(one)["files"])


def test_a_reference_finds_what_build_has_made(data):
    for options in ({}, {"task": "stance_time"}):
        ref = builders.dataset_name("ipol_gait", options)
        assert datasets.find_dataset(data, ref).parent == data / ref
    with pytest.raises(UserError, match="no builder"):
        builders.dataset_name("ipol", {})


def test_several_shards_one_of_them_empty_read_in_the_order_of_the_files(tmp_path, monkeypatch):
    trials = [f"D01_SA{s:02d}" for s in range(1, 6)]
    raw = write_sisfall(tmp_path / "raw", trials, seconds=8)
    still = raw / "SA03" / "D01_SA03_R01.txt"
    lines = still.read_text().split("\n")
    still.write_text("\n".join(lines[:400] * 4))  # rest alone: none of its windows is kept
    whole = datasets.read(builders.build("sisfall", raw, tmp_path / "one"))
    monkeypatch.setattr(base, "SHARD_BYTES", 1000)
    path = builders.build("sisfall", raw, tmp_path / "many")
    assert len(list(path.glob("*array_record*"))) == 5
    got = datasets.read(path)
    np.testing.assert_array_equal(got.acc, whole.acc)
    assert list(dict.fromkeys(got.subject)) == ["SA01", "SA02", "SA04", "SA05"]


def test_importing_is_cheap_and_reading_needs_no_builder(data):
    path = datasets.find_dataset(data, "ipol_gait/stance_time_100hz_b32_a96")
    code = (
        "import sys, imujax.data.datasets as d;"
        "assert not {'jax', 'tensorflow_datasets', 'scipy'} & set(sys.modules);"
        f"assert len(d.read({str(path)!r}).acc) > 10;"
        "assert not {'tensorflow', 'jax'} & set(sys.modules);"
        "assert not [m for m in sys.modules if 'data_builders' in m]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=os.sep)


def test_a_damaged_data_set_is_named(data, tmp_path):
    def check(name, change):
        path = datasets.find_dataset(data, "ipol_gait/windows_100hz_w128_s128")
        shutil.copytree(path, tmp_path / name)
        change(tmp_path / name)
        with pytest.raises(UserError, match=f"{name}.* cannot be read .*build again") as error:
            datasets.read(tmp_path / name)
        return str(error.value)

    lost = check("lost", lambda path: next(path.glob("*array_record*")).unlink())
    assert "ipol_gait-train.array_record-00000-of-00001): remove it" in lost  # and no half of it
    check("cut", lambda path: os.truncate(next(path.glob("*array_record*")), 700))
    check("half", lambda path: os.truncate(path / "metadata.json", 40))
