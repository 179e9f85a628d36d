"""What is missing of a sweep, and what is too good to be true, is named."""

import numpy as np
from helpers import fake_sweep
from helpers.fake_sweep import FINE, edit, resave

from imujax.report import learning_curves, omissions, tables

SPEC = {"encoder": "e", "weights": "random"}


def drop(folder, is_dropped):
    """Remove runs from both files."""
    sweep = tables.load_sweep(folder)
    columns = [
        dict(zip(sweep.runs, row, strict=True)) for row in zip(*sweep.runs.values(), strict=True)
    ]
    gone = [row["run"] for row in columns if is_dropped(row)]
    here = ~np.isin(sweep.predictions["run"], gone)
    resave(folder, **{name: values[here] for name, values in sweep.predictions.items()})
    text = {str(run) for run in gone}
    edit(
        folder,
        lambda rows: rows.__setitem__(slice(None), [r for r in rows if r["run"] not in text]),
    )


def test_arms_references_axes_and_shares_that_were_left_out_are_named(tmp_path):
    probes = {(arm, "probe", "windows"): curve for (arm, _, _), curve in FINE.items()}
    config = {
        "arms": {"pretrained": SPEC, "random": SPEC, "gone": SPEC},
        "references": ["ridge"],
        "axes": {"windows": [0.05, *fake_sweep.FRACTIONS], "subjects": [0.5]},
    }
    fake_sweep.write_sweep(tmp_path / "t", FINE | probes, n_subjects=5, n=6, config=config)
    drop(
        tmp_path / "t",
        lambda row: (row["arm"], row["stage"], row["fraction"]) == ("random", "finetune", 0.1),
    )
    sentences = omissions.left_out(tables.load_sweep(tmp_path / "t"))
    named = " is named in the configuration and has no runs: it is left out."
    for name in ("Arm gone, frozen probe,", "Arm gone, fine-tuned,", "Reference ridge"):
        assert name + named in sentences
    mend = ": it is not compared there."
    assert "Arm random, fine-tuned, has no runs with 5 %, 10 % of the windows" + mend in sentences
    assert "Arm random, frozen probe, has no runs with 5 % of the windows" + mend in sentences
    assert "Arm pretrained, fine-tuned, has no runs at all of axis subjects" + mend in sentences
    assert len(sentences) == 3 + 2 * 4


def test_a_whole_sweep_has_nothing_left_out(knee):
    assert omissions.left_out(knee[0]) == []


def test_arms_that_see_windows_at_another_rate_are_named(tmp_path):
    fake_sweep.write_sweep(tmp_path / "t", FINE, n_subjects=5, n=6)
    sweep = tables.load_sweep(tmp_path / "t")
    assert omissions.resampled(sweep) == []
    sweep.summary.update(rate=50.0, encoders={"e": [{"rate": 100.0}] * 2, "own": [{"rate": 50.0}]})
    assert omissions.resampled(sweep) == [
        "All arms of encoder e see the windows brought from 50 to 100 Hz, and nothing above 25 Hz; "
        "references see them as they are."
    ]


def test_an_estimate_that_is_too_good_is_marked(tmp_path):
    curves = FINE | {("ridge", "reference", "windows"): [0.7, 0.8, 0.9, 0.95, 0.97, 0.99]}
    fake_sweep.write_sweep(tmp_path / "t", curves, n_subjects=5, spread=0.002)
    sweep = tables.load_sweep(tmp_path / "t")
    sentences = omissions.too_good(sweep, learning_curves.curve_rows(sweep, ("r",)))
    assert sentences == [
        "Reference ridge has a mean r of 0.990 within subjects, which is too good: is the target "
        "among the signals?"
    ]
