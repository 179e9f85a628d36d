"""What a builder's own module must offer, so that the base of all builders can do the rest."""

from pathlib import Path
from typing import Any, Protocol

from imujax.data.windows import Dropped


class FilesModule(Protocol):
    """The module of a builder that knows its raw files: five functions.

    Every worker process imports it by its name, so it imports numpy, scipy and the rooms errors,
    runtime and data of imujax, but neither tfds nor jax. What else it must keep to stands in
    data_builders/README.md.
    """

    __name__: str

    def complete_options(self, given: dict[str, Any], /) -> dict[str, Any]:
        """Fill in the defaults of the options that are not given.

        Parameters
        ----------
        given : dict
            Options by name, as the caller wrote them; numbers may still be text
            (`builders.complete_options` converts them).

        Returns
        -------
        dict
            All options of the builder; they must be what JSON can hold.

        Raises
        ------
        UserError
            For an option that the builder does not have, or a value that it cannot take.
        """
        ...

    def folder_name(self, options: dict[str, Any], /) -> str:
        """Name the folder of the data set after its options.

        Parameters
        ----------
        options : dict
            All options, as from `complete_options`.

        Returns
        -------
        str
            Letters, digits, `_`, `-` and `.`; other options give another name.
        """
        ...

    def describe(self, options: dict[str, Any], /) -> dict[str, Any]:
        """Say what the examples hold, as far as it follows from the options.

        Parameters
        ----------
        options : dict
            All options, as from `complete_options`.

        Returns
        -------
        dict
            sensors : list of str, in the order of axis 2; rate : float, Hz; window : int, samples;
            stride : int, samples, or None; frame : str, where the axes point; units : dict, those
            of acc and gyr; targets : list of dict(name, unit), empty for unlabelled windows; and
            where there are any, curves : list of dict(name, unit), of a class with its words as
            classes : list of str, and curve_every : int, so many samples of the window for each
            value of a curve.
        """
        ...

    def list_items(self, raw: Path, options: dict[str, Any], /) -> list[Any]:
        """List what there is to read, without reading it.

        Parameters
        ----------
        raw : Path
            Folder of the raw files.
        options : dict
            All options, as from `complete_options`.

        Returns
        -------
        list
            Items in a fixed order, whatever the order in which the disk lists files. An item is a
            Path, a tuple of Paths or an object with `paths`: all that one call of `read_examples`
            reads. It is pickled on its way to a worker process.

        Raises
        ------
        UserError
            Where the layout is not the expected one.
        """
        ...

    def read_examples(
        self, item: Any, options: dict[str, Any], /
    ) -> tuple[list[dict[str, Any]], Dropped, float]:
        """Read one item and cut its examples.

        Parameters
        ----------
        item : Path, tuple of Path or object
            One of those that `list_items` has listed.
        options : dict
            All options, as from `complete_options`.

        Returns
        -------
        examples : list of dict
            As made by `windows.make_example`.
        dropped : Dropped
            How many windows, steps or samples were left out or mended, by reason.
        seconds : float
            Length of what was read, s.

        Raises
        ------
        UserError
            For a file that is damaged or in another unit; the sentence names it.
        """
        ...
