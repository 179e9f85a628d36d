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

import importlib
import itertools
import json
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tensorflow_datasets.core import example_serializer

from imujax.data.windows import Dropped
from imujax.errors import UserError

REPORT = "beam.json"  # what the workers tell the process that has started them


@dataclass(frozen=True)
class Job:
    """What every worker must know: the files' module, the builder's options, features, shards.

    writer: a tfds ExampleWriter; paths: of the shards.
    """

    module: str
    options: dict
    features: object
    writer: object
    paths: tuple[str, ...]

    def read(self, element: tuple) -> tuple[int, dict]:
        """(shard, number, item) -> (shard, its serialised examples and what is to be reported).

        A mistake in the files is handed on: runners dress up exceptions, each in its own way.
        """
        shard, number, item = element
        try:
            examples, dropped, seconds = importlib.import_module(self.module).examples(
                item, self.options
            )
        except UserError as error:
            return shard, {"number": number, "records": [], "fault": str(error)}
        serializer = example_serializer.ExampleSerializer(self.features.get_serialized_info())
        records = [
            serializer.serialize_example(self.features.encode_example(example))
            for example in examples
        ]
        told = {
            "kept": len(examples),
            "dropped": dict(dropped),
            "subjects": sorted({example["subject"] for example in examples}),
            "seconds": float(seconds),
        }
        return shard, {"number": number, "records": records, **told}

    def write(self, element: tuple) -> list[dict]:
        """(shard, what `read` has made of its recordings, in any order) -> the reports on them."""
        shard, found = element
        found = sorted(found, key=lambda result: result["number"])
        if not any("fault" in result for result in found):
            # A runner may do this twice, even at once: the last that is done stays.
            part = f"{self.paths[shard]}.{uuid.uuid4().hex}"
            records = (record for result in found for record in result["records"])
            self.writer.write(part, enumerate(records))
            os.replace(part, self.paths[shard])
        return [
            {"shard": shard} | {key: value for key, value in result.items() if key != "records"}
            for result in found
        ]


def run(words: Sequence[str], job: Job, items: list, edges: list[int], folder: Path) -> list[dict]:
    """Write the shards -> a report on each item, in order: number, shard, kept, dropped, ...

    words: the runner and its pipeline options; edges: the first item of each shard and the end;
    folder: where the shards are written.  Raises UserError for a runner or an option that Beam does
    not know, and for the first item that is wrong.
    """
    beam, runner, options = pipeline(words)
    elements = [
        (shard, number, items[number])
        for shard, (first, end) in enumerate(itertools.pairwise(edges))
        for number in range(first, end)
    ]
    with beam.Pipeline(runner=runner, options=options) as stages:
        _ = (
            stages
            | "Recordings" >> beam.Create(elements)
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.Map(job.read)
            | "Shards" >> beam.GroupByKey()
            | "Write" >> beam.FlatMap(job.write)
            | "Reports" >> beam.combiners.ToList()
            | "Report" >> beam.Map(lambda told: (folder / REPORT).write_text(json.dumps(told)))
        )
    told = sorted(json.loads((folder / REPORT).read_text()), key=lambda report: report["number"])
    (folder / REPORT).unlink()
    for path in job.paths:
        for left in folder.glob(f"{Path(path).name}.*"):
            left.unlink()
    for report in told:
        if "fault" in report:
            raise UserError(report["fault"])
        report["dropped"] = Dropped(report["dropped"])
    return told


def pipeline(words: Sequence[str]) -> tuple:
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
    named = bool(words) and not words[0].startswith("--")
    name, flags = (words[0], list(words[1:])) if named else ("DirectRunner", list(words))
    options = PipelineOptions(flags)
    strange = options.get_all_options(retain_unknown_options=True).keys()
    strange = sorted(strange - options.get_all_options().keys())
    if strange:
        raise UserError(
            f"Beam has no pipeline option --{strange[0]}; those of the builder stand before --beam"
        )
    if name == "DirectRunner":
        # Beam's own choice would first fetch a program from the network and run it.
        return beam, FnApiRunner(), options
    try:
        return beam, runners.create_runner(name), options
    except (ValueError, ImportError, AttributeError) as error:
        raise UserError(f"--beam {name}: {' '.join(str(error).split())}") from error
