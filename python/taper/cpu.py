"""torch.cpu."""
from contextlib import nullcontext as _nothing

from .amp.autocast_mode import autocast as _autocast


def is_available():
    return True


def device_count():
    return 1


def current_device():
    return "cpu"


def set_device(device):
    pass


def synchronize(device=None):
    pass


def stream(stream):
    return _nothing()


class amp:
    class autocast(_autocast):
        def __init__(self, enabled=True, dtype=None, cache_enabled=True):
            import warnings

            warnings.warn("`torch.cpu.amp.autocast(args...)` is deprecated. Please use `torch.amp.autocast('cpu', args...)` instead.",
                          FutureWarning, stacklevel=2)
            super().__init__("cpu", enabled=enabled, dtype=dtype, cache_enabled=cache_enabled)
