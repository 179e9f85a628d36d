"""The answers in words: each sentence of a report follows from its numbers, either way."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from imujax.report.statistics import LEVEL


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
        sentence : the answer with its numbers, and the single fractions after Holm's correction.

    Notes
    -----
    "helps" or "harms" needs a bootstrap interval that leaves out 0 and a paired t-test below .05,
    both of the main comparison; under ten subjects the interval alone would be too narrow.
    """
    n, gain = main["n_subjects"], main["difference"]
    is_sure = n > 2 and (main["low"] > 0 or main["high"] < 0) and main["p_t"] < 0.05
    word = ("helps" if gain > 0 else "harms") if is_sure else "cannot be told from chance"
    limits = f"{format_signed(main['low'])} to {format_signed(main['high'])}"
    numbers = (
        f"mean difference in r over all fractions {format_signed(gain)} ({format_percent(LEVEL)} "
        f"interval {limits}, paired t-test {describe_p(main['p_t'])}, {n} subjects)"
    )
    answer = {
        "helps": f"{arm_a} is better than {arm_b}",
        "harms": f"{arm_a} is worse than {arm_b}",
        "cannot be told from chance": f"{arm_a} and {arm_b} cannot be told apart",
    }[word]
    if n < 3:
        answer = f"{n} subjects are too few to tell {arm_a} from {arm_b}"
    singles = _significant_fractions(rows)
    sentence = f"{answer}: {numbers}. Single fractions after Holm's correction: {singles}."
    return {"word": word, "sentence": capitalise(sentence)}


def reduction_sentence(reduction: dict[str, Any]) -> str:
    """A data reduction in two sentences.

    Parameters
    ----------
    reduction : dict
        The numbers of `comparisons.data_reduction`.

    Returns
    -------
    str
        The reduction by the crossing with its interval, then the one by the plotted fractions
        alone; or that the target is never reached.
    """
    arm_a, arm_b, axis = (reduction[key] for key in ("arm_a", "arm_b", "axis"))
    goal = f"the mean r that {arm_b} has with all {axis} ({reduction['target_r']:.3f})"
    not_reached = f"{format_percent(reduction['not_reached'])} of the resamples never reach it"
    if reduction["crossing"] is None:
        return capitalise(f"{arm_a} does not reach {goal} at any fraction; {not_reached}.")
    fewer = f"{format_percent(reduction['crossing'])} fewer {axis}"
    if reduction["at_least"]:
        fewer = f"at least {fewer} (the smallest fraction tried)"
    limits = f"{format_percent(LEVEL)} interval {reduction_interval(reduction, 'at least ')}"
    if reduction["low"] is None or reduction["low"] <= 0:
        limits += ", so it cannot be told from none"
    if reduction["not_reached"] > 0:
        limits += f"; {not_reached}"
    return capitalise(
        f"{arm_a} reaches {goal} with {fewer}; {limits}. By the plotted fractions alone: "
        f"{format_percent(reduction['plotted'])} fewer."
    )


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
    return f"{100 * fraction:.3g} %" if fraction < 0.01 else f"{100 * fraction:.0f} %"


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
