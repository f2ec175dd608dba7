"""torch.nn.utils."""
from . import rnn
from .clip_grad import clip_grad_norm, clip_grad_norm_, clip_grad_value_, get_total_norm, clip_grads_with_norm_
from .convert_parameters import parameters_to_vector, vector_to_parameters
from .memory_format import convert_conv2d_weight_memory_format
from .weight_norm import remove_weight_norm, weight_norm


def __getattr__(name):
    from importlib import import_module

    if name in ("parametrize", "parametrizations", "stateless", "prune", "spectral_norm", "fusion"):
        if name in ("parametrize", "parametrizations", "stateless"):
            return import_module("." + name, __package__)
        from ..._absent import Absent

        raise Absent("torch.nn.utils.%s is not part of taper" % name)
    raise AttributeError("module 'torch.nn.utils' has no attribute '%s'" % name)
