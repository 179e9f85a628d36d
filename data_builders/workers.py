"""Raw files over all cores: spawned processes that import numpy and scipy, never tfds or jax."""

import importlib
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple

from imujax.data import content
from imujax.data.windows import Dropped
from imujax.data_builders import facts
from imujax.errors import UserError
from imujax.runtime import host

FEW_ITEMS = 8  # so few files are read in this process: starting others would take longer


class ItemResult(NamedTuple):
    """What came of one item.

    Attributes
    ----------
    examples : list of dict
        With the two below, what the module's `read_examples` returns.
    dropped : Dropped
    seconds : float
    signals : Content
        Of the recordings and the examples, without a source.
    facts : list of dict
        Of `facts.collect`.
    targets : dict of list
        Of `facts.numbers_of`.
    """

    examples: list[dict[str, Any]]
    dropped: Dropped
    seconds: float
    signals: content.Content
    facts: facts.Facts
    targets: dict[str, list[list[float]]]


def read_items(
    module: str, items: Sequence[Any], options: dict[str, Any], workers: int | None
) -> Generator["ItemResult", None, None]:
    """Read all items over the cores, in their order; a few results at a time are in memory.

    Parameters
    ----------
    module : str
        Name by which every process imports the builder's module (`contract.FilesModule`), which
        may lie in another package.
    items : sequence
        What the module's `list_items` has listed.
    options : dict
        All options of the builder.
    workers : int or None
        Number of processes, None for one a core. Where it is one, or there are fewer than eight
        items, this process reads them itself.

    Yields
    ------
    ItemResult

    Raises
    ------
    UserError
        For the first item that is wrong, and where a process has died.
    """
    workers = workers or len(host.available_cores())
    if len(items) < FEW_ITEMS or workers == 1:
        yield from (read_item(module, item, options) for item in items)
        return
    pool = ProcessPoolExecutor(
        min(workers, len(items)), multiprocessing.get_context("spawn"), initializer=_end_with_parent
    )
    futures = deque()
    try:
        for item in items:
            futures.append(pool.submit(read_item, module, item, options))
            if len(futures) > 4 * workers:
                yield futures.popleft().result()
        while futures:
            yield futures.popleft().result()
    except BrokenProcessPool as error:
        raise UserError(
            "a process that read raw files has died: out of memory (build with fewer workers), or "
            "the calling script has no `if __name__ == '__main__':`"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def read_item(module: str, item: Any, options: dict[str, Any]) -> ItemResult:
    """Read one item, in a worker process; arguments as of `read_items`."""
    files = importlib.import_module(module)
    with content.collect_recordings() as recordings:
        examples, dropped, seconds = files.read_examples(item, options)
    signals = content.hash_signals(recordings, examples)
    numbers = facts.numbers_of(examples, files.describe(options))
    return ItemResult(examples, dropped, seconds, signals, facts.collect(recordings), numbers)


def _end_with_parent() -> None:
    """End this worker when its parent is killed: nobody else would."""
    if parent := multiprocessing.parent_process():
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
