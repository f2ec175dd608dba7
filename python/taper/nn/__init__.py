"""torch.nn."""
from .parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter
from .modules import *  # noqa: F401,F403
from . import functional, init, modules, utils
from .parallel import DataParallel


def __getattr__(name):
    if name in ("parallel", "attention", "parameter", "quantized", "qat", "intrinsic"):
        from importlib import import_module

        try:
            return import_module("." + name, __package__)
        except ModuleNotFoundError:
            pass
    raise AttributeError("module 'torch.nn' has no attribute '%s'" % name)


def factory_kwargs(kwargs):
    """The device, dtype and memory_format among kwargs, for building tensors."""
    if kwargs is None:
        return {}
    simple = {"device", "dtype", "memory_format"}
    unexpected = set(kwargs) - simple - {"factory_kwargs"}
    if unexpected:
        raise TypeError("unexpected kwargs %s" % unexpected)
    result = dict(kwargs.get("factory_kwargs", {}))
    result.update({k: v for k, v in kwargs.items() if k in simple})
    return result
