"""Every key that a card may have, table by table: key -> (kind, default). README.md has more."""

import math

from imujax.data import sensor_events
from imujax.data_builders.tabular import kinds
from imujax.data_builders.tabular.card import (
    CLASS,
    CURVE,
    FROM_START,
    SAMPLES,
    STATISTICS,
    TEXT_STAMPS,
    TIME_UNITS,
    Layout,
)
from imujax.errors import UserError

FORMATS = ("csv", "tsv", "opensim", "xlsx", "parquet", "feather", "jsonl", "npz", "hdf5", "mat")
FORMATS += ("c3d",)
ACC_UNITS = ("m/s^2", "g", "mg")
GYR_UNITS = ("rad/s", "deg/s", "mdeg/s")

EVENT_UNITS = (*TIME_UNITS, *FROM_START, *SAMPLES, *TEXT_STAMPS)

LAYOUT = {
    "format": (kinds.one_of(*FORMATS), None),
    "delimiter": (kinds.delimiter, None),
    "decimal": (kinds.character, "."),
    "skip_rows": (kinds.count, 0),
    "names": (kinds.list_of(kinds.text), ()),
    "header_rows": (kinds.length, 1),
    "unit_rows": (kinds.count, 0),
    "footer_rows": (kinds.count, 0),
    "comment": (kinds.text, None),
    "header_has": (kinds.one_or_more, ()),
    "sheet": (kinds.text, None),
    "alias": (kinds.alias, ()),
    "until_blank": (kinds.flag, False),
    "thousands": (kinds.character, None),
    "missing": (kinds.marks, ()),
    "where": (kinds.conditions, ()),
}
TIME = {
    "column": (kinds.text, None),
    "counter": (kinds.text, None),
    "unit": (kinds.time_unit(*TIME_UNITS, *TEXT_STAMPS), "s"),
    "rate": (kinds.positive, None),
    "max_gap": (kinds.not_negative, 0.0),
    "spread": (kinds.spread, None),
    "split": (kinds.flag, False),
    "wrap": (kinds.positive, None),
}
SIGNAL = {
    "column": (kinds.text, None),
    "file": (kinds.path, None),
    **LAYOUT,
    "time": (kinds.text, None),
    "time_unit": (kinds.time_unit(*TIME_UNITS), "s"),
    "rate": (kinds.positive, None),
    "max_gap": (kinds.not_negative, 0.0),
    "scale": (kinds.number, 1.0),
    "lowpass": (kinds.positive, None),
}
EVENTS = {
    "times": (kinds.list_of(kinds.number), ()),
    **SIGNAL,
    "time_unit": (kinds.time_unit(*EVENT_UNITS), "s"),
    "level": (kinds.number, None),
    "distance": (kinds.not_negative, 0.0),
    "hold": (kinds.not_negative, 0.0),
    "below": (kinds.share, 0.0),
    "peak": (kinds.number, -math.inf),
    "sensor": (kinds.text, None),
    "contacts": (kinds.one_of(*sensor_events.CONTACTS), None),
    "peaks": (kinds.one_of(*sensor_events.SIGNALS), None),
    "band": (kinds.band, None),
    "height": (kinds.number, None),
    "prominence": (kinds.positive, None),
}
OF_SENSOR = ("sensor", "contacts", "peaks", "band", "height", "prominence")
TARGET = {
    "name": (kinds.text, kinds.REQUIRED),
    "unit": (kinds.text, None),
    **SIGNAL,
    "from": (kinds.number, 0.0),
    "to": (kinds.number, None),
    "to_share": (kinds.share, None),
    "time_unit": (kinds.time_unit(*EVENT_UNITS), "s"),
    "statistic": (kinds.one_of(*STATISTICS, CURVE, CLASS), kinds.REQUIRED),
    "level": (kinds.number, None),
    "until": (kinds.one_of("below", "above"), None),
    "divide_by": (kinds.list_of(kinds.divisor), ()),
    "every": (kinds.length, None),
    "classes": (kinds.words, ()),
}
ACTIVITY = {
    "file": (kinds.path, kinds.REQUIRED),
    **LAYOUT,
    "name": (kinds.text, kinds.REQUIRED),
    "start": (kinds.text, kinds.REQUIRED),
    "end": (kinds.text, kinds.REQUIRED),
    "unit": (kinds.time_unit(*EVENT_UNITS), "s"),
}
WINDOW = {
    "rate": (kinds.positive, kinds.REQUIRED),
    "length": (kinds.length, kinds.REQUIRED),
    "before": (kinds.count, 0),
    "pad": (kinds.flag, False),
    "stride": (kinds.length, None),
    "motion": (kinds.not_negative, 0.3),
    "upsample": (kinds.positive, 1.25),
}
UNITS = {
    "acc": (kinds.one_of(*ACC_UNITS), kinds.REQUIRED),
    "gyr": (kinds.one_of(*GYR_UNITS), kinds.REQUIRED),
    "acc_factor": (kinds.factor, 1.0),
    "gyr_factor": (kinds.factor, 1.0),
    "rest_error": (kinds.share, 0.1),
}
AXES = {
    "columns": (kinds.axes, kinds.REQUIRED),
    "factor": (kinds.factor, None),
    "offset": (kinds.list_of(kinds.number, 3), (0.0, 0.0, 0.0)),
    "file": (kinds.path, None),
    **LAYOUT,
    "time": (kinds.text, None),
    "time_unit": (kinds.time_unit(*TIME_UNITS, *TEXT_STAMPS), "s"),
    "rate": (kinds.positive, None),
    "max_gap": (kinds.not_negative, 0.0),
    "spread": (kinds.spread, None),
    "shift": (kinds.number, 0.0),
}
COLUMNS = dict.fromkeys(("subject", "recording", "activity"), (kinds.text, None))
LABELS = {
    "file": (kinds.path, kinds.REQUIRED),
    **LAYOUT,
    "subject": (kinds.text, None),
    "recording": (kinds.text, None),
    "time": (kinds.text, kinds.REQUIRED),
    "time_unit": (kinds.time_unit(*EVENT_UNITS), "s"),
    "targets": (kinds.list_of(kinds.table), ()),
    "activity": (kinds.text, None),
}
CARD = {
    "name": (kinds.text, None),
    "files": (kinds.path, kinds.REQUIRED),
    "match": (kinds.regex, None),
    **LAYOUT,
    "hdf5": (kinds.table, None),
    "mat": (kinds.table, None),
    "subject": (kinds.text, None),
    "columns": (kinds.table, {}),
    "sides": (kinds.list_of(kinds.text), ()),
    "time": (kinds.table, kinds.REQUIRED),
    "units": (kinds.table, kinds.REQUIRED),
    "sensors": (kinds.table, kinds.REQUIRED),
    "activity": (kinds.table, None),
    "events": (kinds.table, None),
    "target": (kinds.table_or_tables, None),
    "labels": (kinds.table, None),
    "body": (kinds.table, {}),
    "window": (kinds.table, kinds.REQUIRED),
}


def read_layout(table: dict) -> Layout:
    """How a table lies in its file, by a checked table of the card."""
    if table["decimal"] == table["delimiter"]:
        raise UserError('"decimal" and "delimiter" are the same character')
    if table["header_has"] and (table["skip_rows"] or table["names"]):
        raise UserError('"header_has" finds the line with the names: leave out skip_rows and names')
    return Layout(**{key: table[key] for key in LAYOUT})
