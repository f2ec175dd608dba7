"""torch.optim."""
from . import lr_scheduler
from .adam import Adam
from .adamw import AdamW
from .optimizer import Optimizer
from .rmsprop import RMSprop
from .sgd import SGD

_MORE = {"Adagrad": "adagrad", "Adadelta": "adadelta", "Adamax": "adamax", "NAdam": "nadam", "RAdam": "radam", "Rprop": "rprop",
         "ASGD": "asgd", "LBFGS": "lbfgs"}


def __getattr__(name):
    from importlib import import_module

    if name in _MORE:
        value = globals()[name] = getattr(import_module("." + _MORE[name], __package__), name)
        return value
    if name == "swa_utils":
        return import_module("." + name, __package__)
    if name == "SparseAdam":
        from .._absent import Absent

        raise Absent("torch.optim.SparseAdam: taper has no sparse gradients; use Adam")
    raise AttributeError("module 'torch.optim' has no attribute '%s'" % name)


def __dir__():
    return sorted(set(globals()) | set(_MORE) | {"swa_utils"})
