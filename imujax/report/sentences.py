"""The answers in words: each sentence of a report follows from its numbers, either way."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from imujax.report.statistics import LEVEL

STAGE_NAMES = {
    "finetune": "fine-tuned",
    "fifth": "fine-tuned, a fifth of the steps",
    "probe": "frozen probe",
}
# By the number of weights that the runs of an arm share.
FEW_STARTS = {
    1: "All runs of {arm} start from the same weights, one pre-training: the interval is about "
    "that one alone; give its encoder three seeds or more.",
    2: "The runs of {arm} start from two pre-trainings, from which little can be told of others: "
    "give its encoder three seeds or more.",
}


def verdict(
    main: dict[str, Any], rows: Sequence[dict[str, Any]], arm_a: str, arm_b: str
) -> dict[str, str]:
    """The answer in one sentence, made from the numbers.

    Parameters
    ----------
    main : dict
        Of `comparisons.overall_difference`.
    rows : sequence of dict
        Of `comparisons.difference_rows`, for the same stage and axis.
    arm_a, arm_b : str
        The arms that were compared, A minus B.

    Returns
    -------
    dict
        word : "helps", "harms" or "cannot be told from chance".
        sentence : the answer with its numbers, how small a gain would have been seen, and the
        single fractions after Holm's correction.

    Notes
    -----
    "helps" or "harms" needs an interval that leaves out 0 and a p below .05 after Holm's correction
    over the arms, both of the main comparison.
    """
    n, gain = main["n_subjects"], main["difference"]
    is_sure = (main["low"] > 0 or main["high"] < 0) and main["p_t_holm"] < 0.05
    word = ("helps" if gain > 0 else "harms") if is_sure else "cannot be told from chance"
    answer = {
        "helps": f"{arm_a} is better than {arm_b}",
        "harms": f"{arm_a} is worse than {arm_b}",
        "cannot be told from chance": f"{arm_a} and {arm_b} cannot be told apart",
    }[word]
    seen = f"a gain of {main['smallest']:.3f} would have been seen"
    if n < 3:
        answer = f"{n} subjects are too few to tell {arm_a} from {arm_b}"
        seen = "no gain would have been seen"
    p = describe_p(main["p_t_holm"])
    if main["n_arms"] > 1:
        p += f" after Holm's correction over {main['n_arms']} arms"
    draws = "1 draw" if main["n_draws"] == 1 else f"{main['n_draws']} draws"
    frozen = " of the frozen probes" if main["stage"] == "probe" else ""
    numbers = (
        f"mean difference in {main['measure']}{frozen} over all fractions "
        f"{describe_difference(main)}, {p}, {n} subjects, {draws}; {seen}"
    )
    notes = [FEW_STARTS[count].format(arm=arm) for arm, count in main["few_starts"].items()]
    if main["n_draws"] == 1:
        notes.append("With one draw, starts are told from subjects between folds alone.")
    singles = _significant_fractions(rows)
    notes.append(f"Single fractions after Holm's correction over all of them: {singles}.")
    return {"word": word, "sentence": capitalise(" ".join([f"{answer}: {numbers}.", *notes]))}


def fifth_sentence(fifth: dict[str, Any], word: str) -> str:
    """What the gain at a fifth of the steps says of steps and labels.

    Parameters
    ----------
    fifth : dict
        The numbers of `comparisons.gain_at_a_fifth`.
    word : str
        Of the verdict at the chosen steps.

    Returns
    -------
    str
        That steps are saved only where the gain at a fifth is sure, and surely larger than at the
        chosen steps.
    """
    gain = f"At a fifth of the steps the gain is {describe_difference(fifth)}"
    change = format_signed(abs(fifth["change"])).lstrip("+")
    if fifth["change_high"] < 0:
        return f"{gain}, less by {change} than at the chosen steps."
    if not fifth["change_low"] > 0:
        return f"{gain}, which cannot be told from that at the chosen steps."
    if not fifth["low"] > 0:
        return f"{gain}, more by {change} than at the chosen steps."
    if word == "helps":
        return f"{gain}, more by {change} than at the chosen steps: that much of it is saved steps."
    return f"{gain}, more by {change} than at the chosen steps: what is saved there are steps."


def reduction_sentence(reduction: dict[str, Any]) -> str:
    """A data reduction in words, or why none is told.

    Parameters
    ----------
    reduction : dict
        The numbers of `comparisons.data_reduction`.

    Returns
    -------
    str
        The reduction by the crossing with its interval, in brackets the one by the plotted
        fractions alone, and what the baseline needs less of its own data.
    """
    arm_a, arm_b, axis = (reduction[key] for key in ("arm_a", "arm_b", "axis"))
    goal = (
        f"the mean {reduction['measure']} that {arm_b} has with all {axis} "
        f"({reduction['target_r']:.3f})"
    )
    if reduction["crossing"] is None:
        return capitalise(f"no reduction of data: {arm_a} does not reach {goal} at any fraction.")
    fewer = f"{format_percent(reduction['crossing'])} fewer {axis}"
    if reduction["at_least"]:
        fewer = f"at least {fewer} (the smallest fraction tried)"
    limits = f"{format_percent(reduction['level'])} interval "
    limits += reduction_interval(reduction, "at least ")
    if reduction["not_reached"] > 0:
        limits += f", {format_percent(reduction['not_reached'])} of the resamples never reach it"
    rule = f"by the plotted fractions alone {format_percent(reduction['plotted'])}"
    own = (
        f"{arm_b} itself comes to it with {format_percent(reduction['own'])} fewer {axis} of its "
        f"own ({describe_p(reduction['p_own'])} for the difference)"
    )
    sentence = f"{arm_a} reaches {goal} with {fewer} ({limits}; {rule}); {own}"
    if doubts := reduction["doubts"]:
        reasons = {
            "gain": f"the gain is not sure enough at a level of {1 - reduction['level']:.2g}",
            "interval": "its interval holds none",
            "own": f"{arm_b} may need as little of its own",
        }
        because = " and ".join(reasons[name] for name in doubts)
        sentence = f"no reduction of data is sure, as {because}: {sentence}"
    return capitalise(f"{sentence}.")


def reduction_interval(reduction: dict[str, Any], at_least: str) -> str:
    """The interval of a data reduction in words.

    Parameters
    ----------
    reduction : dict
        Of `comparisons.data_reduction`.
    at_least : str
        What stands before a limit that is the most the fractions tried can show.

    Returns
    -------
    str
        "none to 84 %", or one number where both limits are the same.
    """
    most = 1 - reduction["smallest"]
    limits = []
    for value in (reduction["low"], reduction["high"]):
        if value is None:
            limits.append("none")
        else:
            limits.append((at_least if value >= most - 1e-9 else "") + format_percent(value))
    return limits[0] if limits[0] == limits[1] else f"{limits[0]} to {limits[1]}"


def added_sentence(added: dict[str, Any], measure: str) -> str:
    """What an arm adds to the best reference.

    Parameters
    ----------
    added : dict
        The row of `added_value.added_rows` over all fractions.
    measure : str
        The name of what is compared.

    Returns
    -------
    str
    """
    arm, references = added["arm"], added["references"]
    if added["low"] > 0:
        worth = f"{arm} adds to the best reference"
    elif added["high"] < 0:
        worth = f"{arm} takes from the best reference"
    else:
        worth = f"that {arm} adds to the best reference cannot be told from chance"
    return capitalise(
        f"{worth}: averaged with it, {measure} is {added['together']:.3f} over all fractions, "
        f"where the reference alone ({references}) has {added['alone']:.3f}; difference "
        f"{describe_difference(added)}."
    )


def describe_difference(row: dict[str, Any]) -> str:
    """A difference with its interval: "+0.031 (95 % interval +0.010 to +0.052)".

    Parameters
    ----------
    row : dict
        Of `comparisons.mean_row`.

    Returns
    -------
    str
    """
    if np.isnan(row["low"]):  # of fewer than three subjects
        return f"{format_signed(row['difference'])} (no interval)"
    limits = f"{format_signed(row['low'])} to {format_signed(row['high'])}"
    return f"{format_signed(row['difference'])} ({format_percent(LEVEL)} interval {limits})"


def format_percent(fraction: float) -> str:
    """A fraction as a percentage of three digits below 1 %, else whole: 0.158 -> "16 %".

    Parameters
    ----------
    fraction : float
        Of 1.

    Returns
    -------
    str
    """
    is_extreme = fraction < 0.01 or 0.99 < fraction < 1
    return f"{100 * fraction:.3g} %" if is_extreme else f"{100 * fraction:.0f} %"


def format_signed(value: float) -> str:
    """A number with its sign and three decimals: 0.0312 -> "+0.031", with a true minus sign.

    Parameters
    ----------
    value : float

    Returns
    -------
    str
    """
    return f"{value:+.3f}".replace("-", "\u2212")


def describe_p(p: float) -> str:
    """A p value within a sentence: "p = 0.012", "p < 0.001", "p undefined" for NaN.

    Parameters
    ----------
    p : float

    Returns
    -------
    str
    """
    if np.isnan(p):
        return "p undefined"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def capitalise(sentence: str) -> str:
    """The sentence with its first letter set large.

    Parameters
    ----------
    sentence : str

    Returns
    -------
    str
    """
    return sentence[:1].upper() + sentence[1:]


def _significant_fractions(rows: Sequence[dict[str, Any]]) -> str:
    clauses = []
    for sign, comparative in ((1, "better"), (-1, "worse")):
        significant = [
            r["fraction"] for r in rows if r["p_t_holm"] < 0.05 and sign * r["difference"] > 0
        ]
        if significant:
            is_all = len(significant) == len(rows)
            fractions = "each" if is_all else ", ".join(map(format_percent, significant))
            clauses.append(f"{comparative} at {fractions}")
    return " and ".join(clauses) if clauses else "none is significant"
