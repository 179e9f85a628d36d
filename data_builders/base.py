"""The TFDS builder that all data sets share: raw files over all cores, one recording at a time.

TFDS's own shuffling of a GeneratorBasedBuilder needs TensorFlow once a data set outgrows 1 GB, so
this is its sibling that writes shard after shard, in the order of the raw files.
"""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2

from imujax.data import datasets
from imujax.data.windows import Dropped
from imujax.data_builders import workers
from imujax.errors import UserError
from imujax.runtime import log

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
    examples(item, options) -> (list of examples as made by windows.make_example, Dropped, seconds)
    """

    module: ModuleType
    raw: Path
    workers: int | None
    beam: list[str] | None

    @classmethod
    def of(cls, options: dict, raw: Path, data: Path, workers: int | None = None, beam=None):
        """The builder of one set of options, reading `raw` and writing below `data`.

        workers, beam: as of datasets.build.
        """
        options = cls.module.complete(options)
        config = Config(name=cls.module.config(options), options=options)
        builder = cls(data_dir=data, config=config)
        builder.raw, builder.workers, builder.beam = raw, workers, beam
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
            **{name: tfds.features.Text() for name in datasets.STRING_FEATURES},
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

    def _plan(self) -> tuple[list, list[int]]:
        """All items, and the first one of each shard with the end of the last."""
        items = self.module.files(self.raw, self.builder_config.options)
        self._sources = self.sources()
        size = sum(path.stat().st_size for path in self._sources.values())
        shards = min(len(items), 1 + size // SHARD)
        return items, [len(items) * k // shards for k in range(shards + 1)]

    def _shard_iterators_per_split(self, dl_manager) -> dict:
        del dl_manager  # the raw files are the user's own
        items, edges = self._plan()
        results = self._stack.enter_context(contextlib.closing(self._results(items)))

        def shard(k: int) -> Iterator[tuple[int, dict]]:
            for item in range(edges[k], edges[k + 1]):
                for i, example in enumerate(next(results)):
                    yield (item << 32) + i, example

        return {datasets.SPLIT: [lambda k=k: shard(k) for k in range(len(edges) - 1)]}

    def _example_writer(self) -> tfds.core.ExampleWriter:
        return SortedWriter(self.info.file_format)

    def _results(self, items: list) -> Iterator[list[dict]]:
        """Examples of each item in the order of the items; each is reported on."""
        options = self.builder_config.options
        done = workers.mapped(self.module.__name__, items, options, self.workers)
        progress = log.Progress(len(items), self.name, "files")
        with contextlib.closing(done), contextlib.closing(progress):
            for examples, dropped, seconds in done:
                self._report(len(examples), dropped, {e["subject"] for e in examples}, seconds)
                progress.update()
                yield examples

    def _report(self, kept: int, dropped: Dropped, subjects: Iterable[str], seconds: float) -> None:
        """Add up what came of one item."""
        told = self._told
        told["kept"] += kept
        told["dropped"].update(dropped)
        told["subjects"].update(subjects)
        told["seconds"] += seconds

    def _on_beam(self) -> None:
        """Write all shards on Beam, as `_shard_iterators_per_split` has them written."""
        from imujax.data_builders import beam

        items, edges = self._plan()
        template, count = self._get_filename_template(datasets.SPLIT), len(edges) - 1
        paths = [template.sharded_filepath(shard_index=k, num_shards=count) for k in range(count)]
        job = beam.Job(
            self.module.__name__,
            self.builder_config.options,
            self.info.features,
            self._example_writer(),
            tuple(map(str, paths)),
        )
        lengths = [0] * count
        for report in beam.run(self.beam, job, items, edges, Path(self.data_path)):
            lengths[report["shard"]] += report["kept"]
            self._report(*(report[key] for key in ("kept", "dropped", "subjects", "seconds")))
        self.info.set_splits(
            tfds.core.SplitDict(
                [
                    tfds.core.SplitInfo(
                        name=datasets.SPLIT,
                        shard_lengths=lengths,
                        num_bytes=sum(path.stat().length for path in paths),
                        filename_template=template,
                    )
                ]
            )
        )

    def _download_and_prepare(self, dl_manager, download_config=None) -> None:
        self._told = {"dropped": Dropped(), "subjects": set(), "kept": 0, "seconds": 0.0}
        if self.beam is not None:
            self._on_beam()
        else:
            with contextlib.ExitStack() as self._stack:  # ends the workers, whatever happens
                super()._download_and_prepare(dl_manager, download_config)
        report = self._told
        if not report["kept"]:
            reasons = ", ".join(f"{n} {why}" for why, n in sorted(report["dropped"].items()))
            raise UserError(f"no example of {self.raw} was kept ({reasons}): see the options")
        if (self.raw / datasets.SIMULATED_MARK).is_file():
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
