"""torch.nn.functional: torch's signatures over the operators."""
from .. import _C
from ._functional import activation as _a
from ._functional import attention as _t
from ._functional import loss as _l
from ._functional import spatial as _s
from ._functional import volume as _v
from ._functional.activation import *  # noqa: F401,F403
from ._functional.attention import multi_head_attention_forward, scaled_dot_product_attention
from ._functional.loss import *  # noqa: F401,F403
from ._functional.spatial import *  # noqa: F401,F403
from ._functional.volume import *  # noqa: F401,F403

gelu = _C.ops.gelu
linear = _C.ops.linear
conv1d, conv2d = _C.ops.conv1d, _C.ops.conv2d
pdist = getattr(_C.ops, "pdist", None)

# Functions are pickled by their place: it is this module, whatever file they are written in.
for _part in (_a, _t, _l, _s, _v):
    for _name, _value in list(vars(_part).items()):
        if _name[0] != "_" and getattr(_value, "__module__", None) == _part.__name__:
            _value.__module__ = __name__
del _part, _name, _value


def __getattr__(name):
    if name.endswith("_") and not name.startswith("_"):
        plain = globals().get(name[:-1])
        if plain is not None:
            written = getattr(_C.ops, name, None) or (lambda input, *args, **kwargs: plain(input, *args, inplace=True, **kwargs))
            globals()[name] = written
            return written
    raise AttributeError("module 'torch.nn.functional' has no attribute '%s'" % name)
