"""Raw files over all cores: spawned processes that import numpy and scipy, never tfds or jax."""

import importlib
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from imujax.errors import UserError
from imujax.runtime import host

FEW = 8  # so few files are read in this process: starting others would take longer


def mapped(module: str, items: list, options: dict, workers: int | None) -> Iterator[tuple]:
    """examples(item, options) of every item, in order, over the cores, few of them in flight."""
    workers = workers or len(host.available_cores())
    if len(items) < FEW or workers == 1:
        yield from (_work(module, item, options) for item in items)
        return
    pool = ProcessPoolExecutor(
        min(workers, len(items)), multiprocessing.get_context("spawn"), initializer=_watch
    )
    waiting = deque()
    try:
        for item in items:
            waiting.append(pool.submit(_work, module, item, options))
            if len(waiting) > 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise UserError(
            "a process that read raw files has died: out of memory (build with fewer workers), or "
            "the calling script has no `if __name__ == '__main__':`"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _work(module: str, item: object, options: dict) -> tuple:
    """One item, in a worker process."""
    return importlib.import_module(module).examples(item, options)


def _watch() -> None:
    """End this worker when its parent is killed: nobody else would."""
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
