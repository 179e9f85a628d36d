"""The answers in words: each sentence of a report follows from its numbers, either way."""

from collections.abc import Sequence

import numpy as np

from imujax.report.statistics import LEVEL


def verdict(main: dict, rows: Sequence[dict], arm_a: str, arm_b: str) -> dict:
    """The answer in one sentence, made from the numbers: {"word", "sentence"}.

    main: of `overall`; rows: of `differences` for the same stage and axis. "helps" or "harms" needs
    a bootstrap interval that leaves out 0 and a paired t-test below .05, both of the main
    comparison; under ten subjects the interval alone would be too narrow.
    """
    n, gain = main["n_subjects"], main["difference"]
    sure = n > 2 and (main["low"] > 0 or main["high"] < 0) and main["p_t"] < 0.05
    word = ("helps" if gain > 0 else "harms") if sure else "cannot be told from chance"
    numbers = (
        f"mean difference in r over all fractions {signed(gain)} ({percent(LEVEL)} interval "
        f"{signed(main['low'])} to {signed(main['high'])}, paired t-test {p_sentence(main['p_t'])}, "
        f"{n} subjects)"
    )
    answer = {
        "helps": f"{arm_a} is better than {arm_b}",
        "harms": f"{arm_a} is worse than {arm_b}",
        "cannot be told from chance": f"{arm_a} and {arm_b} cannot be told apart",
    }[word]
    if n < 3:
        answer = f"{n} subjects are too few to tell {arm_a} from {arm_b}"
    parts = []
    for sign, comparative in ((1, "better"), (-1, "worse")):
        at = [r["fraction"] for r in rows if r["p_t_holm"] < 0.05 and sign * r["difference"] > 0]
        if at:
            every = len(at) == len(rows)
            parts.append(f"{comparative} at {'each' if every else ', '.join(map(percent, at))}")
    single = " and ".join(parts) if parts else "none is significant"
    sentence = f"{answer}: {numbers}. Single fractions after Holm's correction: {single}."
    return {"word": word, "sentence": capitalise(sentence)}


def reduction_sentence(result: dict) -> str:
    """What `learning_curves.data_reduction` found, in two sentences."""
    target = f"{result['target_r']:.3f}"
    goal = f"the mean r that {result['arm_b']} has with all {result['axis']} ({target})"
    share = f"{percent(result['not_reached'])} of the resamples never reach it"
    if result["crossing"] is None:
        return capitalise(f"{result['arm_a']} does not reach {goal} at any fraction; {share}.")
    fewer = f"{percent(result['crossing'])} fewer {result['axis']}"
    if result["at_least"]:
        fewer = f"at least {fewer} (the smallest fraction tried)"
    limits = f"{percent(LEVEL)} interval {reduction_limits(result, 'at least ')}"
    if result["low"] is None or result["low"] <= 0:
        limits += ", so it cannot be told from none"
    if result["not_reached"] > 0:
        limits += f"; {share}"
    return capitalise(
        f"{result['arm_a']} reaches {goal} with {fewer}; {limits}. By the plotted fractions alone: "
        f"{percent(result['plotted'])} fewer."
    )


def reduction_limits(result: dict, at_least: str) -> str:
    """The interval of a reduction in words; `at_least` stands before a limit that is the most the
    fractions tried can show."""
    most = 1 - result["smallest"]
    limits = []
    for value in (result["low"], result["high"]):
        beyond = value is not None and value >= most - 1e-9
        limits.append("none" if value is None else at_least * beyond + percent(value))
    return limits[0] if limits[0] == limits[1] else f"{limits[0]} to {limits[1]}"


def percent(fraction: float) -> str:
    """0.158 -> "16 %"."""
    return f"{100 * fraction:.3g} %" if fraction < 0.01 else f"{100 * fraction:.0f} %"


def signed(value: float) -> str:
    """0.0312 -> "+0.031", with a true minus sign."""
    return f"{value:+.3f}".replace("-", "\u2212")


def p_sentence(p: float) -> str:
    if np.isnan(p):
        return "p undefined"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def capitalise(sentence: str) -> str:
    """The sentence with its first letter set large."""
    return sentence[:1].upper() + sentence[1:]
