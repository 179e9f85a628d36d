"""The TFDS builder that all data sets share: raw files over all cores, one recording at a time.

TFDS's own shuffling of a GeneratorBasedBuilder needs TensorFlow once a data set outgrows 1 GB, so
this is its sibling that writes shard after shard, in the order of the raw files.
"""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2

from imujax import datasets, log
from imujax.data_builders import workers
from imujax.errors import UserError
from imujax.windows import Dropped

SHARD = 64 << 20  # bytes of raw files behind one shard


@dataclass(eq=False, kw_only=True)
class Config(tfds.core.BuilderConfig):
    """One set of options of a builder; the folder's name is made of them."""

    options: dict = field(default_factory=dict)


class SortedWriter(tfds.core.ExampleWriter):
    """Writes the features of an example in the order of their names.

    Protobuf gives a map another order in every process; the files would differ from build to build.
    """

    def write(self, path, examples):
        def ordered(record: bytes) -> bytes:
            example = tf_example_pb2.Example.FromString(record)
            return example.SerializeToString(deterministic=True)

        return super().write(path, ((key, ordered(record)) for key, record in examples))


class WindowBuilder(tfds.core.ShardBasedBuilder, skip_registration=True):
    """Base of all builders. A subclass names its folder and the module that knows its files.

    That module imports numpy and scipy only, because every worker process imports it, and has

    complete(given) -> options, with all defaults; UserError for one it does not have
    config(options) -> name of the folder, made of the options
    describe(options) -> dict(sensors, rate [Hz], window, stride, frame, units, targets), where
        targets is a list of dict(name, unit), empty for unlabelled windows
    files(raw, options) -> list of items in a fixed order; an item is a Path, a tuple of Paths or
        an object with `paths` (all that one call of `examples` reads); UserError where the layout
        is not the expected one
    examples(item, options) -> (list of examples as made by windows.example, Dropped, seconds)
    """

    module: ModuleType
    raw: Path
    workers: int | None

    @classmethod
    def of(cls, options: dict, raw: Path, data: Path, workers: int | None = None):
        """The builder of one set of options, reading `raw` and writing below `data`."""
        options = cls.module.complete(options)
        config = Config(name=cls.module.config(options), options=options)
        builder = cls(data_dir=data, config=config)
        builder.raw, builder.workers = raw, workers
        return builder

    def _info(self) -> tfds.core.DatasetInfo:
        options = self.builder_config.options
        says = self.module.describe(options)
        length, sensors = says["window"], len(says["sensors"])
        features = {
            "acc": tfds.features.Tensor(shape=(length, sensors, 3), dtype=np.float32),
            "gyr": tfds.features.Tensor(shape=(length, sensors, 3), dtype=np.float32),
            "length": tfds.features.Scalar(dtype=np.int32),
            "start": tfds.features.Scalar(dtype=np.float32),
            **{name: tfds.features.Text() for name in datasets.STRINGS},
        }
        if says["targets"]:
            shape = (len(says["targets"]),)
            features["target"] = tfds.features.Tensor(shape=shape, dtype=np.float32)
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            metadata=tfds.core.MetadataDict(
                says, options=options, imujax=version("imujax"), builder=str(self.VERSION)
            ),
        )

    def sources(self) -> dict[str, Path]:
        """All files that the items name: name relative to the raw folder -> path."""
        out = {}
        for item in self.module.files(self.raw, self.builder_config.options):
            for path in item if isinstance(item, tuple) else getattr(item, "paths", (item,)):
                inside = path.is_relative_to(self.raw)
                out[path.relative_to(self.raw).as_posix() if inside else path.name] = path
        return out

    def _shard_iterators_per_split(self, dl_manager) -> dict:
        del dl_manager  # the raw files are the user's own
        options = self.builder_config.options
        items = self.module.files(self.raw, options)
        sources = self.sources()
        size = sum(path.stat().st_size for path in sources.values())
        shards = min(len(items), 1 + size // SHARD)
        edges = [len(items) * k // shards for k in range(shards + 1)]
        report = {"dropped": Dropped(), "subjects": set(), "kept": 0, "seconds": 0.0}
        results = self._stack.enter_context(contextlib.closing(self._results(items, report)))

        def shard(k: int) -> Iterator[tuple[int, dict]]:
            for item in range(edges[k], edges[k + 1]):
                for i, example in enumerate(next(results)):
                    yield (item << 32) + i, example

        self._report, self._sources = report, sources
        return {datasets.SPLIT: [lambda k=k: shard(k) for k in range(shards)]}

    def _example_writer(self) -> tfds.core.ExampleWriter:
        return SortedWriter(self.info.file_format)

    def _results(self, items: list, report: dict) -> Iterator[list[dict]]:
        """Examples of each item in the order of the items; the counts go to `report`."""
        options = self.builder_config.options
        done = workers.mapped(self.module.__name__, items, options, self.workers)
        progress = log.Progress(len(items), self.name, "files")
        with contextlib.closing(done), contextlib.closing(progress):
            for examples, dropped, seconds in done:
                report["dropped"].update(dropped)
                report["subjects"].update(e["subject"] for e in examples)
                report["kept"] += len(examples)
                report["seconds"] += seconds
                progress.update()
                yield examples

    def _download_and_prepare(self, dl_manager, download_config=None) -> None:
        with contextlib.ExitStack() as self._stack:  # ends the workers, whatever happens
            super()._download_and_prepare(dl_manager, download_config)
        report = self._report
        if not report["kept"]:
            reasons = ", ".join(f"{n} {why}" for why, n in sorted(report["dropped"].items()))
            raise UserError(f"no example of {self.raw} was kept ({reasons}): see the options")
        if (self.raw / datasets.SIMULATED).is_file():
            self.info.metadata["simulated"] = True
        self.info.metadata.update(
            kept=report["kept"],
            dropped=dict(sorted(report["dropped"].items())),
            subjects=sorted(report["subjects"]),
            hours=round(report["seconds"] / 3600, 4),
            sources={name: datasets.sha256(path) for name, path in sorted(self._sources.items())},
        )
        _say(self.name, self.info.metadata)


def _say(name: str, metadata: dict) -> None:
    """Print what was kept, and what was dropped or mended, on stderr."""
    print(
        f"{name}: {metadata['hours']:.2f} h of {len(metadata['subjects'])} subjects, "
        f"{metadata['kept']} examples kept; dropped or mended:",
        *(f"  {n} {why}" for why, n in metadata["dropped"].items()),
        sep="\n",
        file=sys.stderr,
    )
