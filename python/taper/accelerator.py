"""torch.accelerator: the GPU, if there is one, without naming its kind."""
from . import _C
from .cuda import _devices as _cuda

__all__ = ["current_accelerator", "current_device_idx", "current_device_index", "current_stream", "device_count", "is_available",
           "set_device_idx", "set_device_index", "set_stream", "synchronize", "device_index"]


def is_available():
    return _C.cuda_device_count() > 0


def device_count():
    return _C.cuda_device_count()


def current_accelerator(check_available=False):
    return _C.device("cuda") if _C.cuda_device_count() else None


def current_device_index():
    return _cuda.current_device()


current_device_idx = current_device_index


def set_device_index(device):
    _cuda.set_device(device)


set_device_idx = set_device_index


def synchronize(device=None):
    _cuda.synchronize(device)


def current_stream(device=None):
    from .cuda.streams import current_stream as current

    return current(device)


def set_stream(stream):
    from .cuda.streams import set_stream as set_

    set_(stream)


class device_index(_cuda.device):
    """Context in which another GPU is the current one."""


def memory_allocated(device_index=None):
    from .cuda import memory_allocated as allocated

    return allocated(device_index)
