"""The TFDS builder that all data sets share: raw files over all cores, one recording at a time.

TFDS's own shuffling of a GeneratorBasedBuilder needs TensorFlow once a data set outgrows 1 GB, so
this is its sibling that writes shard after shard, in the order of the raw files.
"""

import contextlib
import sys
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2

from imujax.data import builders, content, datasets
from imujax.data.windows import Dropped
from imujax.data_builders import facts, picture, workers
from imujax.data_builders.contract import FilesModule
from imujax.errors import UserError
from imujax.runtime import drawing, files, log

SHARD_BYTES = 64 << 20  # bytes of raw files behind one shard


@dataclass(eq=False, kw_only=True)
class Config(tfds.core.BuilderConfig):
    """One set of options of a builder; the folder's name is made of them.

    Attributes
    ----------
    name : str
        Name of the folder, as `FilesModule.folder_name` makes it.
    options : dict
        All options of the builder, with their defaults.
    """

    options: dict[str, Any] = field(default_factory=dict)


class SortedWriter(tfds.core.ExampleWriter):
    """Writes the features of an example in the order of their names.

    Protobuf gives a map another order in every process; the files would differ from build to build.
    """

    def write(self, path, examples):
        def sort_features(record: bytes) -> bytes:
            example = tf_example_pb2.Example.FromString(record)
            return example.SerializeToString(deterministic=True)

        return super().write(path, ((key, sort_features(record)) for key, record in examples))


class WindowBuilder(tfds.core.ShardBasedBuilder, skip_registration=True):
    """Base of all builders.

    A subclass is called `Builder`, lies in a module `<name>_dataset_builder`, and names its
    version, its folder and the module that knows its files.

    Attributes
    ----------
    VERSION : tfds.core.Version
        Raised when the same raw files give other examples.
    pkg_dir_path : Path
        Folder with README.md, CITATIONS.bib and TAGS.txt.
    module : FilesModule
        The module with the five functions of that contract.
    raw : Path
        Folder of the raw files.
    workers : int or None
        Number of processes that read; None for all cores.
    beam : list of str or None
        Runner and pipeline options of Apache Beam, None for a build without it.
    """

    pkg_dir_path: Any
    builder_config: Any
    module: FilesModule
    raw: Path
    workers: int | None
    beam: list[str] | None

    @classmethod
    def from_options(
        cls,
        options: dict[str, Any],
        raw: Path,
        data: Path,
        workers: int | None = None,
        beam: list[str] | None = None,
    ) -> "WindowBuilder":
        """Make the builder of one set of options.

        Parameters
        ----------
        options : dict
            Options of the builder; those that are left out get their defaults.
        raw : Path
            Folder of the raw files.
        data : Path
            Folder below which the data set is written.
        workers : int, optional
            Number of processes that read the raw files; all cores by default.
        beam : list of str, optional
            A runner of Apache Beam (DirectRunner if it is left out) and its pipeline options.

        Returns
        -------
        WindowBuilder
            Nothing is read or written yet.

        Raises
        ------
        UserError
            For an option that the builder does not have, or a value that it cannot take.
        """
        options = cls.module.complete_options(options)
        config = Config(name=cls.module.folder_name(options), options=options)
        builder = cls(data_dir=data, config=config)
        builder.raw, builder.workers, builder.beam = raw, workers, beam
        return builder

    def _info(self) -> tfds.core.DatasetInfo:
        options = self.builder_config.options
        description = self.module.describe(options)
        length, sensors = description["window"], len(description["sensors"])
        features = {
            "acc": tfds.features.Tensor(shape=(length, sensors, 3), dtype=np.float32),
            "gyr": tfds.features.Tensor(shape=(length, sensors, 3), dtype=np.float32),
            "length": tfds.features.Scalar(dtype=np.int32),
            "start": tfds.features.Scalar(dtype=np.float32),
            **{name: tfds.features.Text() for name in datasets.STRING_FEATURES},
        }
        if description["targets"]:
            shape = (len(description["targets"]),)
            features["target"] = tfds.features.Tensor(shape=shape, dtype=np.float32)
        if curves := description.get("curves"):
            shape = (-(-length // description["curve_every"]), len(curves))
            features["curve"] = tfds.features.Tensor(shape=shape, dtype=np.float32)
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            metadata=tfds.core.MetadataDict(
                description, options=options, imujax=version("imujax"), builder=str(self.VERSION)
            ),
        )

    def source_files(self) -> dict[str, Path]:
        """List all files that the items name.

        Returns
        -------
        dict
            Name relative to the raw folder (the last part alone for a file outside it) -> path.

        Raises
        ------
        UserError
            Where the layout of the raw folder is not the expected one.
        """
        items = self.module.list_items(self.raw, self.builder_config.options)
        return {self._name_file(path): path for item in items for path in _item_paths(item)}

    def _name_file(self, path: Path) -> str:
        inside = path.is_relative_to(self.raw)
        return path.relative_to(self.raw).as_posix() if inside else path.name

    def _plan_shards(self) -> tuple[list, list[int]]:
        """All items, and the first one of each shard with the end of the last."""
        items = self.module.list_items(self.raw, self.builder_config.options)
        self._sources = self.source_files()
        size = sum(path.stat().st_size for path in self._sources.values())
        shards = min(len(items), 1 + size // SHARD_BYTES)
        return items, [len(items) * k // shards for k in range(shards + 1)]

    def _shard_iterators_per_split(self, dl_manager) -> dict:
        del dl_manager  # the raw files are the user's own
        items, edges = self._plan_shards()
        results = self._stack.enter_context(contextlib.closing(self._read_items(items)))

        def shard(k: int) -> Iterator[tuple[int, dict]]:
            for item in range(edges[k], edges[k + 1]):
                for i, example in enumerate(next(results)):
                    yield (item << 32) + i, example

        return {datasets.SPLIT: [lambda k=k: shard(k) for k in range(len(edges) - 1)]}

    def _example_writer(self) -> tfds.core.ExampleWriter:
        return SortedWriter(self.info.file_format)

    def _read_items(self, items: list) -> Generator[list[dict], None, None]:
        """Examples of each item in the order of the items; each is reported on."""
        options = self.builder_config.options
        results = workers.read_items(self.module.__name__, items, options, self.workers)
        progress = log.Progress(len(items), self.name, "files")
        with contextlib.closing(results), contextlib.closing(progress):
            for item, result in zip(items, results, strict=True):
                self._add_report(
                    item,
                    result.dropped,
                    result.targets,
                    result.seconds,
                    result.signals,
                    result.facts,
                )
                progress.update()
                if len(self._totals["shown"]) < picture.MOST:
                    self._totals["shown"] += result.examples[:1]
                yield result.examples

    def _add_report(
        self,
        item: Any,
        dropped: Dropped,
        targets: dict[str, list[list[float]]],
        seconds: float,
        signals: content.Content,
        found: facts.Facts,
    ) -> None:
        """Add up what came of one item."""
        totals = self._totals
        totals["kept"] += sum(map(len, targets.values()))
        totals["dropped"].update(dropped)
        for subject, values in targets.items():
            totals["targets"].setdefault(subject, []).extend(values)
        totals["seconds"] += seconds
        source = next(map(self._name_file, _item_paths(item)), "")
        sources = np.full(len(signals.subject), source)
        totals["signals"].append(replace(signals, source=sources))
        totals["facts"] += [{"source": source} | row for row in found]

    def try_out(self, count: int) -> tuple[list[dict[str, Any]], Dropped, list[str]]:
        """Read a few items, and write nothing.

        Parameters
        ----------
        count : int
            How many, spread over all of them.

        Returns
        -------
        examples : list of dict
            As of `windows.make_example`.
        dropped : Dropped
        lines : list of str
            Of `facts.summary_lines`.

        Raises
        ------
        UserError
            As a build would.
        """
        items = self.module.list_items(self.raw, self.builder_config.options)
        chosen = sorted({round(i) for i in np.linspace(0, len(items) - 1, min(count, len(items)))})
        examples, dropped, found = [], Dropped(), []
        for i in chosen:
            result = workers.read_item(self.module.__name__, items[i], self.builder_config.options)
            source = next(map(self._name_file, _item_paths(items[i])), "")
            examples += result.examples
            dropped.update(result.dropped)
            found += [{"source": source} | row for row in result.facts]
        return examples, dropped, facts.summary_lines(found)

    def draw(self, examples: list[dict[str, Any]]) -> bytes:
        """Draw a few examples, spread over those that are given.

        Parameters
        ----------
        examples : list of dict
            At least one.

        Returns
        -------
        bytes
            PNG.
        """
        spread = np.linspace(0, len(examples) - 1, min(picture.MOST, len(examples)))
        shown = [examples[round(i)] for i in spread]
        info = self.module.describe(self.builder_config.options)
        return drawing.png(picture.examples_figure(shown, info), dpi=110)

    def _write_on_beam(self, words: list[str]) -> None:
        """Write all shards on Beam, as `_shard_iterators_per_split` has them written."""
        from imujax.data_builders import beam

        items, edges = self._plan_shards()
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
        for report in beam.write_shards(words, job, items, edges, Path(self.data_path)):
            lengths[report["shard"]] += report["kept"]
            names = ("dropped", "targets", "seconds", "signals", "facts")
            item, shown = items[report["number"]], self._totals["shown"]
            self._add_report(item, *(report[name] for name in names))
            if report["kept"] and len(shown) < picture.MOST:  # Beam hands no examples back
                options = self.builder_config.options
                shown += workers.read_item(self.module.__name__, item, options).examples[:1]
        split = tfds.core.SplitInfo(
            name=datasets.SPLIT,
            shard_lengths=lengths,
            num_bytes=sum(path.stat().length for path in paths),
            filename_template=template,
        )
        self.info.set_splits(tfds.core.SplitDict([split]))

    def _download_and_prepare(self, dl_manager, download_config=None) -> None:
        self._totals = {"kept": 0, "dropped": Dropped(), "targets": {}, "seconds": 0.0}
        self._totals |= {"signals": [], "facts": [], "shown": []}
        if self.beam is not None:
            self._write_on_beam(self.beam)
        else:
            with contextlib.ExitStack() as self._stack:  # ends the workers, whatever happens
                super()._download_and_prepare(dl_manager, download_config)
        totals = self._totals
        if not totals["kept"]:
            reasons = ", ".join(f"{n} {why}" for why, n in sorted(totals["dropped"].items()))
            raise UserError(f"no example of {self.raw} was kept ({reasons}): see the options")
        signals = content.concatenate(totals["signals"])
        content.require_separate_subjects(signals, totals["targets"], self.raw)
        content.save(self.data_path, signals)
        self._save_for_people(Path(self.data_path))
        metadata: Any = self.info.metadata
        if (self.raw / datasets.SIMULATED_MARK).is_file():
            metadata["simulated"] = True
        if origins := facts.origins(totals["facts"]):
            metadata["origins"] = origins
        metadata.update(
            kept=totals["kept"],
            dropped=dict(sorted(totals["dropped"].items())),
            subjects=sorted(totals["targets"]),
            hours=round(totals["seconds"] / 3600, 4),
            sources={name: builders.sha256(path) for name, path in sorted(self._sources.items())},
        )
        _print_summary(self.name, metadata, content.count_equal_examples(signals), totals["facts"])

    def _save_for_people(self, folder: Path) -> None:
        """The tables of recordings and subjects, and the picture."""
        totals = self._totals
        info = self.module.describe(self.builder_config.options)
        facts.save(folder, totals["facts"])
        facts.save_subjects(folder, totals["facts"], totals["targets"], facts.number_names(info))
        drawn = self.draw(totals["shown"])
        files.write_whole(folder / picture.FILE, lambda path: path.write_bytes(drawn))


def _item_paths(item: Any) -> Iterable[Path]:
    """All files that an item names."""
    return item if isinstance(item, tuple) else getattr(item, "paths", (item,))


def _print_summary(name: str, metadata: dict, equal: int, found: facts.Facts) -> None:
    """Print on stderr what was read and kept, which is there twice, what was dropped or mended."""
    twice = f" ({equal} of them equal to others of the same subject)" if equal else ""
    print(
        f"{name}: {metadata['hours']:.2f} h of {len(metadata['subjects'])} subjects, "
        f"{metadata['kept']} examples kept{twice}; "
        + ("dropped or mended:" if metadata["dropped"] else "nothing was dropped or mended"),
        *(f"  {n} {why}" for why, n in metadata["dropped"].items()),
        *facts.summary_lines(found, facts.FILE),
        sep="\n",
        file=sys.stderr,
    )
