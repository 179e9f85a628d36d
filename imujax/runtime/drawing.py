"""The look that all pictures share, and how they become files.

Files come out byte for byte the same for the same numbers: no dates, fixed identifiers, one font.
"""

import io
from typing import Any

import matplotlib
from matplotlib.figure import Figure

GREY, PALE, INK = "#6f6f6f", "#d9d9d9", "#222222"
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "svg.hashsalt": "imujax",
    "svg.fonttype": "path",
}


def png(figure: Figure, dpi: int = 200) -> bytes:
    """Draw a picture as PNG, without a date or a version in it.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    dpi : int
        Dots per inch.

    Returns
    -------
    bytes
    """
    return _render(figure, "png", {"Software": None}, dpi)


def svg(figure: Figure) -> bytes:
    """Draw a picture as SVG, without a date, letters as outlines.

    Parameters
    ----------
    figure : matplotlib.figure.Figure

    Returns
    -------
    bytes
    """
    metadata = dict.fromkeys(("Date", "Creator", "Type", "Format"))
    return _render(figure, "svg", metadata, 150)


def _render(figure: Figure, file_format: str, metadata: dict, dpi: int) -> bytes:
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format=file_format, metadata=metadata, dpi=dpi)
    return buffer.getvalue()
