"""How a process that serves uses memory, threads and files."""

import ctypes
import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Parameters of `mallopt`, from glibc's malloc.h."""
LARGE = 1 << 20
"""Bytes. Larger blocks go back to the system as soon as they are free: they are read files of
models, and what models make of a long utterance."""
SPARE = 8 << 20
"""Bytes of free memory kept at the end of each heap."""
HEAPS = 2
"""By default malloc has one for nearly every thread, each with free memory of its own."""


def prepare() -> None:
    """Before numpy is loaded, a thread is started, and a file is made."""
    # Recordings, transcripts and secrets are files: for this user alone.
    os.umask(0o077)
    # Parallelism comes from this server's own worker threads; those of numpy's libraries, which
    # read this when they are loaded, would only spin beside them.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    for parameter, value in (
        (M_ARENA_MAX, HEAPS),
        (M_MMAP_THRESHOLD, LARGE),
        (M_TRIM_THRESHOLD, SPARE),
    ):
        _glibc("mallopt", parameter, value)


@contextmanager
def starting() -> Iterator[Callable[[], None]]:
    """While a server starts; gives what to call once it is ready.

    What is made until then stays for good. So the garbage collector rests,
    and never looks at it afterwards: a look at all of it would stop every conversation for 0.1 s.
    """
    gc.disable()

    def ready() -> None:
        gc.freeze()
        gc.enable()
        give_back()

    try:
        yield ready
    finally:
        gc.enable()


def give_back() -> None:
    """Return free memory to the system. Blocks for some milliseconds; other threads go on."""
    _glibc("malloc_trim", 0)


def _glibc(function: str, *arguments: int) -> None:
    """Call a function that only glibc has; other systems do without."""
    found = getattr(ctypes.CDLL(None), function, None)
    if found is not None:
        found(*arguments)
