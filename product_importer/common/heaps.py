"""How many heaps the C library keeps for a process, and what it keeps out of them."""

import ctypes

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # malloc.h


def bound_heaps() -> None:
    """Few heaps, and what is large straight from the system, which has it back when it is freed.

    glibc gives each thread (some forty in a web process) a heap of its own, and once a large block
    was freed takes the next ones from there as well, where one small value that lives keeps
    megabytes. Before threads are started; a forked process has it from its parent.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):  # no other C library has it
        mallopt(_M_ARENA_MAX, 2)
        mallopt(_M_MMAP_THRESHOLD, 128 * 1024)
