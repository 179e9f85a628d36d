"""What the stand-ins of one laboratory share: markers, magnetic field, the place on its treadmill.

Its axes are x to the right, y forwards, z up, in mm.
"""

import numpy as np

from imujax.simulate import body, people, sensors

# Marker of one leg: segment, place in its frame [m] (forwards, outwards, up) at a height of 1.75 m.
LEG_MARKERS = {
    "FCC": ("foot", (-0.06, 0.0, -0.03)),
    "FM5": ("foot", (0.10, 0.05, -0.05)),
    "FM2": ("foot", (0.13, -0.01, -0.04)),
    "TAM": ("foot", (0.0, -0.04, 0.01)),
    "FAL": ("foot", (-0.01, 0.04, 0.0)),
    "SK": ("shank", (0.04, 0.02, -0.15)),
    "TT": ("shank", (0.05, 0.0, -0.06)),
    "FME": ("shank", (0.0, -0.05, 0.0)),
    "FLE": ("shank", (0.0, 0.05, 0.0)),
    "TH": ("thigh", (0.05, 0.05, -0.30)),
    "FT": ("thigh", (0.0, 0.08, 0.0)),
    "IPS": ("pelvis", (-0.09, 0.04, 0.07)),
    "IAS": ("pelvis", (0.08, 0.13, 0.08)),
    "AC": ("trunk", (0.0, 0.20, 0.42)),
}
MIDLINE_MARKERS = {
    "MAI": ("trunk", (-0.10, 0.0, 0.18)),
    "SXS": ("trunk", (0.11, 0.0, 0.20)),
    "SJN": ("trunk", (0.07, 0.0, 0.40)),
    "CV7": ("trunk", (-0.06, 0.0, 0.47)),
}
# In the order of the files: of each group the left ones, then the right ones.
GROUPS = (
    ("FCC", "FM5", "FM2"),
    ("TAM", "FAL", "SK", "TT"),
    ("FME", "FLE", "TH", "FT"),
    ("IPS",),
    ("IAS",),
)
MARKERS = (
    *(side + name for group in GROUPS for side in "LR" for name in group),
    *MIDLINE_MARKERS,
    *("LAC", "RAC"),
)
# mm, where people stay on the treadmill; the plate lies somewhat below the laboratory's zero.
TREADMILL_CENTRE = np.array([580.0, 800.0, -12.72])
MAGNETIC_FIELD = (18.0, -36.5)  # microtesla: horizontal, vertical


def place_markers(
    height: float, position: np.ndarray, rotation: np.ndarray
) -> dict[str, np.ndarray]:
    """Places [3, T] m, forwards, left, up, of all markers on a person of `height` m.

    position [17, 3, T], rotation [17, 3, 3, T]: of the segments.
    """
    points, size, places = {**MIDLINE_MARKERS, **both_sides(LEG_MARKERS)}, height / 1.75, {}
    for name in MARKERS:
        segment, (ahead, outwards, up) = points[name]
        offset = size * np.array([ahead, outwards if name[0] == "L" else -outwards, up])
        i = body.INDEX[segment]
        places[name] = position[i] + np.einsum("ijt,j->it", rotation[i], offset)
    return places


def unit_axes(trial: people.Trial) -> np.ndarray:
    """The units' axes in the world [S, T, 3, 3], leaning as their readings do."""
    axes = sensors.unit_axes(trial.kin, trial.mount, people.SENSOR_RATE)
    return np.moveaxis(np.asarray(axes, np.float64), 3, 1)


def read_magnetometer(axes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a magnetometer with these axes [T, 3, 3] in the world reads [T, 3], microtesla."""
    field = np.array([MAGNETIC_FIELD[0], 0.0, MAGNETIC_FIELD[1]])
    field = field + rng.normal(0, 0.3, (len(axes), 3))
    return np.einsum("tij,ti->tj", axes, field)


def both_sides(table: dict) -> dict:
    """Markers of one side -> of both."""
    return {
        f"{side}{name}": (f"{seg}_{side.lower()}" if seg in ("foot", "shank", "thigh") else seg, at)
        for name, (seg, at) in table.items()
        for side in "LR"
    }


def named_columns(pattern: str, parts: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """values [T, len(parts)] as {name of each column: [T]}."""
    return {pattern.format(part): values[:, i] for i, part in enumerate(parts)}
