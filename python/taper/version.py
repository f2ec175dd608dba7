"""Versions as scripts ask for them. The number is that of the PyTorch release whose behaviour is followed."""
from .torch_version import TorchVersion

__version__ = TorchVersion("2.7.0+taper0.1.0")
debug = False
git_version = "unknown"
hip = None
xpu = None


def __getattr__(name):
    if name == "cuda":
        # The CUDA version that can be used here, as "12.4"; None without a driver.
        from . import _C

        version = _C.cuda_driver_version() if _C.cuda_device_count() else 0
        return "%d.%d" % (version // 1000, version % 1000 // 10) if version else None
    raise AttributeError("module 'torch.version' has no attribute '%s'" % name)
