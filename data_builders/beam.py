"""Builds on Apache Beam: one recording an element, on any runner, the same bytes as without Beam.

Beam 2.77 needs an older protobuf and pyarrow than the constraints file names, so it has an
environment of its own, here and on all workers:

    python3 -m venv .beam
    .beam/bin/pip install -e ".[beam]"
    .beam/bin/imujax build movi --raw raw/movi --data data --beam DirectRunner \\
        --direct_running_mode=multi_processing --direct_num_workers=8

Workers must see the raw files and the data folder under the same paths: this reads and writes
plain files.
"""

import base64
import io
import itertools
import json
import os
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tensorflow_datasets.core import ExampleWriter, example_serializer

from imujax.data import content
from imujax.data.windows import Dropped
from imujax.data_builders import workers
from imujax.errors import UserError

REPORT_FILE = "beam.json"  # what the workers tell the process that has started them


@dataclass(frozen=True)
class Job:
    """What every worker must know of a build; it is pickled on its way to them.

    Attributes
    ----------
    module : str
        Name by which the workers import the builder's module (`contract.FilesModule`).
    options : dict
        All options of the builder.
    features : tfds.features.FeaturesDict
        The features of an example.
    writer : tfds.core.ExampleWriter
        Writes the records of one shard.
    paths : tuple of str
        Of the shards, in their order.
    """

    module: str
    options: dict[str, Any]
    features: Any
    writer: ExampleWriter
    paths: tuple[str, ...]

    def read_item(self, element: tuple[int, int, Any]) -> tuple[int, dict[str, Any]]:
        """(shard, number, item) -> (shard, its serialised examples and what is to be reported).

        A mistake in the files is handed on: runners dress up exceptions, each in its own way.
        """
        shard, number, item = element
        try:
            result = workers.read_item(self.module, item, self.options)
        except UserError as error:
            return shard, {"number": number, "records": [], "fault": str(error)}
        serializer = example_serializer.ExampleSerializer(self.features.get_serialized_info())
        records = [
            serializer.serialize_example(self.features.encode_example(example))
            for example in result.examples
        ]
        report = {
            "kept": len(result.examples),
            "dropped": dict(result.dropped),
            "targets": result.targets,
            "seconds": float(result.seconds),
            "signals": _pack_content(result.signals),
            "facts": result.facts,
        }
        return shard, {"number": number, "records": records, **report}

    def write_shard(self, element: tuple[int, Iterable[dict[str, Any]]]) -> list[dict[str, Any]]:
        """(shard, what `read_item` has made of its items, in any order) -> the reports on them."""
        shard, results = element
        results = sorted(results, key=lambda result: result["number"])
        if not any("fault" in result for result in results):
            # A runner may do this twice, even at once: the last that is done stays.
            part = f"{self.paths[shard]}.{uuid.uuid4().hex}"
            records = (record for result in results for record in result["records"])
            self.writer.write(part, enumerate(records))
            os.replace(part, self.paths[shard])
        return [
            {"shard": shard} | {key: value for key, value in result.items() if key != "records"}
            for result in results
        ]


def write_shards(
    words: Sequence[str], job: Job, items: Sequence[Any], edges: Sequence[int], folder: Path
) -> list[dict[str, Any]]:
    """Read all items and write all shards on Beam.

    Parameters
    ----------
    words : sequence of str
        The runner, DirectRunner if it is left out, and its pipeline options.
    job : Job
        What the workers must know.
    items : sequence
        What the builder's module has listed.
    edges : sequence of int
        The first item of each shard, and the number of items.
    folder : Path
        Where the shards are written; the workers must see it under the same path.

    Returns
    -------
    list of dict
        A report on each item, in their order: number, shard, kept, dropped, targets, seconds,
        signals, facts.

    Raises
    ------
    UserError
        For a runner or an option that Beam does not know, for the first item that is wrong, and
        where Beam is not installed.
    """
    beam, runner, options = parse_pipeline(words)
    elements = [
        (shard, number, items[number])
        for shard, (first, end) in enumerate(itertools.pairwise(edges))
        for number in range(first, end)
    ]
    report_file = folder / REPORT_FILE
    with beam.Pipeline(runner=runner, options=options) as stages:
        _ = (
            stages
            | "Recordings" >> beam.Create(elements)
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.Map(job.read_item)
            | "Shards" >> beam.GroupByKey()
            | "Write" >> beam.FlatMap(job.write_shard)
            | "Reports" >> beam.combiners.ToList()
            | "Report" >> beam.Map(lambda reports: report_file.write_text(json.dumps(reports)))
        )
    reports = sorted(json.loads(report_file.read_text()), key=lambda report: report["number"])
    report_file.unlink()
    for path in job.paths:
        for leftover in folder.glob(f"{Path(path).name}.*"):
            leftover.unlink()
    for report in reports:
        if "fault" in report:
            raise UserError(report["fault"])
        report["dropped"] = Dropped(report["dropped"])
        report["signals"] = _unpack_content(report["signals"])
    return reports


def _pack_content(signals: content.Content) -> str:
    """A content as JSON can hold it."""
    buffer = io.BytesIO()
    np.savez(buffer, **vars(signals))
    return base64.b64encode(buffer.getvalue()).decode()


def _unpack_content(text: str) -> content.Content:
    with np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False) as file:
        return content.Content(**file)


def parse_pipeline(words: Sequence[str]) -> tuple[Any, Any, Any]:
    """`[RUNNER] --option ...` -> (apache_beam, runner, options); UserError for mistakes."""
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
        from apache_beam.runners import runner as runners
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner
    except ImportError as error:
        raise UserError(
            "--beam needs Apache Beam, which is not installed: pip install -e '.[beam]' in an "
            "environment of its own"
        ) from error
    is_named = bool(words) and not words[0].startswith("--")
    name, flags = (words[0], list(words[1:])) if is_named else ("DirectRunner", list(words))
    options = PipelineOptions(flags)
    option_names = options.get_all_options(retain_unknown_options=True).keys()
    unknown = sorted(option_names - options.get_all_options().keys())
    if unknown:
        raise UserError(
            f"Beam has no pipeline option --{unknown[0]}; those of the builder stand before --beam"
        )
    if name == "DirectRunner":
        # Beam's own choice would first fetch a program from the network and run it.
        return beam, FnApiRunner(), options
    try:
        return beam, runners.create_runner(name), options
    except (ValueError, ImportError, AttributeError) as error:
        raise UserError(f"--beam {name}: {' '.join(str(error).split())}") from error
