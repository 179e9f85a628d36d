"""Settings of a run that differ are named one by one, and shortly."""

import pytest

from imujax.errors import UserError
from imujax.pretrain.settings import EncoderSettings
from imujax.runtime import settings

ENCODERS = {"waist": [{"net": {"width": 8}, "seed": 0}, {"net": {"width": 8}, "seed": 1000}]}


def differences(new):
    return list(settings.differing_settings({"rate": 100.0, "encoders": ENCODERS}, new))


def test_the_same_settings_do_not_differ_though_tuples_have_become_lists():
    old = {"folds": (("A", "B"), ("C",)), "encoders": ENCODERS}
    new = {"folds": [["A", "B"], ["C"]], "encoders": ENCODERS}
    assert list(settings.differing_settings(old, new)) == []


def test_each_leaf_is_named_and_what_is_missing_is_none():
    assert differences({"rate": 50.0, "encoders": ENCODERS, "seed": 3}) == [
        ("rate", 100.0, 50.0),
        ("seed", None, 3),
    ]


def test_of_several_encoders_the_setting_that_differs_is_named():
    wide = {"waist": [ENCODERS["waist"][0], {"net": {"width": 16}, "seed": 1000}]}
    assert differences({"rate": 100.0, "encoders": wide}) == [("encoders.waist.1.net.width", 8, 16)]


def test_of_many_files_the_one_that_differs_is_named():
    """661 checksums of a data set are no sentence."""
    names = [f"SA{i:02d}/walk.csv {i:012x}" for i in range(661)]
    old = {"data": [{"name": "sisfall/w128", "files": names}]}
    changed, new = "SA03/walk.csv 0123456789ab", "SB01/a walk.csv 0123456789ab"
    for files, says in (
        ([*names[:3], changed, *names[4:]], "SA03/walk.csv differs"),
        (names[1:], "SA00/walk.csv is missing now"),
        ([*names, new], "SB01/a walk.csv is new"),
        (names[5:], "SA00/walk.csv and 4 more are missing now"),
        (
            [changed, *names[5:], new],
            "SA00/walk.csv and 3 more are missing now, "
            "SB01/a walk.csv is new, SA03/walk.csv differs",
        ),
    ):
        with pytest.raises(UserError) as error:
            settings.require_same_settings(
                old, {"data": [{"name": "sisfall/w128", "files": files}]}, "work"
            )
        assert f"work holds a run with other data.sisfall/w128.files: {says};" in str(error.value)
        assert len(str(error.value)) < 200


def test_of_a_few_words_those_that_went_and_came_are_named():
    with pytest.raises(UserError, match="other sensors: left wrist is missing now, waist is new;"):
        settings.require_same_settings(
            {"sensors": ["left wrist", "chest"]}, {"sensors": ["chest", "waist"]}, "work"
        )


def test_another_number_of_encoders_is_a_short_sentence():
    fewer = {"rate": 100.0, "encoders": {"waist": ENCODERS["waist"][:1]}}
    assert differences(fewer)[0] == ("encoders.waist", 2, 1)
    with pytest.raises(UserError, match=r"with encoders\.waist=2 but the configuration says 1;"):
        settings.require_same_settings({"rate": 100.0, "encoders": ENCODERS}, fewer, "work")


def test_another_form_of_convolution_is_the_same_run():
    old, new = ({"net": {"conv": form, "width": 8}} for form in ("dot", "auto"))
    settings.require_same_settings(old, new, "work")
    with pytest.raises(UserError, match=r"net\.width=8 but the configuration says 16"):
        settings.require_same_settings(old, {"net": {"conv": "auto", "width": 16}}, "work")


def test_what_an_older_imujax_did_not_have_was_as_it_is_by_default():
    now = {"seed": 0, "hidden": 0.4, "loss": "symmetric", "beside": {}}
    then = {"seed": 0, "loss": "symmetric"}
    settings.require_same_settings(then, now, "work", EncoderSettings)
    with pytest.raises(UserError, match=r"with hidden=0\.4 but the configuration says 0\.5"):
        settings.require_same_settings(then, now | {"hidden": 0.5}, "work", EncoderSettings)
    with pytest.raises(UserError, match="with hidden="):
        settings.require_same_settings(then, now, "work")
