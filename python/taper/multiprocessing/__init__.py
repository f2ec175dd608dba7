"""torch.multiprocessing: Python's multiprocessing, with tensors sent as bytes, and spawn()."""
import multiprocessing as _mp
from multiprocessing import *  # noqa: F401,F403
from multiprocessing import current_process, get_context, set_start_method  # noqa: F401

from .spawn import ProcessContext, ProcessException, ProcessExitedException, ProcessRaisedException, SpawnContext, spawn, start_processes


def set_sharing_strategy(new_strategy):
    if new_strategy not in get_all_sharing_strategies():
        raise AssertionError("unknown sharing strategy %r" % (new_strategy,))


def get_sharing_strategy():
    return "file_descriptor"


def get_all_sharing_strategies():
    return {"file_descriptor", "file_system"}


def __getattr__(name):
    return getattr(_mp, name)
