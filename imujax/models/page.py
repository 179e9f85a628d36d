"""The page of a model for people: README.md in its folder, written from its card."""

from typing import Any

PAGE = """# {title}

{simulated}An imujax model. It estimates **{target} [{unit}]** of one window of {samples} samples at
{rate:g} Hz from {sensors}.

```python
import imujax

model = imujax.load("this folder")
# Both [N, {samples}, {n_sensors}, 3], in m/s^2 with gravity and in rad/s.
estimates = model.predict(acc, gyr)
estimates.estimate, estimates.low, estimates.high  # in {unit}
```

## What it is

- Made of: {model}.
- Trained on {examples:,} windows of {subjects} people, data set {data}.
- Axes: {frame}.

## How good it is

Of people who were held out, each estimated by models that had not seen them, mean over people:

| r | RMSE [{unit}] | bias [{unit}] |
|---|---|---|
| {r:.3f} | {rmse:.3g} | {bias:.3g} |

{choice}

## How sure an estimate is

Asked for were intervals of {asked:.0f} %, and {people} people can promise {level:.0f} %: estimate
-+ {half:.3g} {unit} holds so many of the windows of a new person, on average over persons like
these. Of those people, each by the intervals of the others, {covered:.0f} % of the windows lay
within ({low:.0f} to {high:.0f} %), of the person with the fewest {least:.0f} %.

## Its limits

- The target ran from {least_target:.3g} to {most_target:.3g} {unit}: beyond that it has learned
  nothing.
- Windows whose signals leave what was seen in training are marked `is_unlike`, and recordings of
  which a sensor lies turned against it are refused.
- Other sensors, other places, other ways to cut the windows and other people than those it was
  trained on have not been tried.
"""


def write_page(card: dict[str, Any]) -> str:
    """Write the page.

    Parameters
    ----------
    card : dict
        Of a Model.

    Returns
    -------
    str
        Markdown.
    """
    interval, target, trained = card["interval"], card["target"], card["trained_on"]
    coverage = interval["coverage"]
    errors = sorted(card["candidates"].items(), key=lambda pair: pair[1])
    listed = ", ".join(f"{name} {error:.3g}" for name, error in errors)
    choice = f"RMSE of what there was to choose from: {listed}."
    if card["asked"] == "best":
        choice += " The best of them was taken, so that its own number is a little too good."
    simulated = "**Trained on simulated people alone.** " if trained["simulated"] else ""
    return PAGE.format(
        title=card["title"],
        simulated=simulated,
        target=target["name"],
        unit=target["unit"],
        samples=card["window"],
        rate=card["rate"],
        sensors=", ".join(card["sensors"]),
        n_sensors=len(card["sensors"]),
        model=card["model"],
        examples=trained["examples"],
        subjects=trained["subjects"],
        data=trained["data"]["name"],
        frame=card["frame"] or "as in its data set",
        choice=choice,
        r=card["metrics"]["r"],
        rmse=card["metrics"]["rmse"],
        bias=card["metrics"]["bias"],
        asked=100 * interval["asked"],
        people=interval["people"],
        level=100 * interval["level"],
        half=interval["half"],
        covered=100 * coverage["mean"],
        low=100 * coverage["low"],
        high=100 * coverage["high"],
        least=100 * coverage["least"],
        least_target=card["range_of"]["target"][0],
        most_target=card["range_of"]["target"][1],
    )


def write_line(card: dict[str, Any]) -> str:
    """Write what matters of the page in one line.

    Parameters
    ----------
    card : dict
        Of a Model.

    Returns
    -------
    str
    """
    interval, unit, metrics = card["interval"], card["target"]["unit"], card["metrics"]
    coverage = {name: f"{100 * value:.0f}" for name, value in interval["coverage"].items()}
    return (
        f"{card['model']}; of people held out r {metrics['r']:.3f}, RMSE {metrics['rmse']:.3g} "
        f"{unit}; +-{interval['half']:.3g} {unit} promises {100 * interval['level']:.0f} % of the "
        f"windows of a new person ({100 * interval['asked']:.0f} % asked); of {interval['people']} "
        f"people, each by the intervals of the others, {coverage['mean']} % ({coverage['low']} to "
        f"{coverage['high']}) lay within, of one of them {coverage['least']} %"
    )
