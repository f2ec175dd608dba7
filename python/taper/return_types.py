"""torch.return_types: the named results of operators with several."""
from . import _C


def __getattr__(name):
    value = getattr(getattr(_C, "return_types", None), name, None)
    if value is None:
        raise AttributeError("module 'torch.return_types' has no attribute '%s'" % name)
    return value
