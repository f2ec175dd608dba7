"""torch.special: the operators of this slice under their special names."""
from . import _C

_ops = _C.ops
_SAME = {"expit": "sigmoid", "exp2": "exp2", "expm1": "expm1", "log1p": "log1p", "erf": "erf", "erfc": "erfc", "erfinv": "erfinv",
         "softmax": "softmax", "log_softmax": "log_softmax", "logsumexp": "logsumexp", "round": "round", "logit": "logit",
         "xlogy": "xlogy", "sinc": "sinc"}


def __getattr__(name):
    value = getattr(_ops, _SAME.get(name, "special_" + name), None)
    if value is None:
        if name.startswith("__"):
            raise AttributeError(name)
        from ._absent import Absent

        raise Absent("torch.special.%s is not one of taper's operators" % name)
    return value
