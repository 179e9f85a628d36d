"""Lines of a proposed card that more than one of its tables has."""

import json

from imujax.data_builders.tabular.card import Layout

LAYOUT_KEYS = ("format", "delimiter", "decimal", "comment", "skip_rows", "header_rows", "unit_rows")
LAYOUT_KEYS += ("footer_rows",)


def quote(text: str) -> str:
    """Text as TOML has it."""
    return json.dumps(text, ensure_ascii=False)


def quote_expression(text: str) -> str:
    """A regular expression as TOML has it: as it is, where that can be."""
    return quote(text) if "'" in text or not text.isprintable() else f"'{text}'"


def layout_lines(layout: Layout) -> list[str]:
    """What differs from the defaults; follows from the lines of the file."""
    lines = []
    for key in LAYOUT_KEYS:
        value = getattr(layout, key)
        if value != getattr(Layout(), key):
            lines.append(f"{key} = {quote(value) if isinstance(value, str) else value}  # sure")
    if layout.names:
        names = ", ".join(map(quote, layout.names))
        lines.append(f"names = [{names}]  # yours: the file has no names")
    return lines
