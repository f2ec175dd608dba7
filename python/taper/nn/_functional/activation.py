"""Activations and dropout. Those that are not operators of the library are short compositions of operators."""
import math

from ... import _C

_ops = _C.ops
_inf = float("inf")


def _in_place(name):
    """name(input, inplace=False) of an operator that has an in-place form."""
    plain, written = getattr(_ops, name), getattr(_ops, name + "_")

    def function(input, inplace=False):
        return written(input) if inplace else plain(input)

    function.__name__ = function.__qualname__ = name
    return function


relu, relu6, silu, mish, selu, hardswish, hardsigmoid = map(
    _in_place, ("relu", "relu6", "silu", "mish", "selu", "hardswish", "hardsigmoid"))
relu_, selu_, celu_, elu_ = _ops.relu_, _ops.selu_, _ops.celu_, _ops.elu_
leaky_relu_, hardtanh_, threshold_ = _ops.leaky_relu_, _ops.hardtanh_, _ops.threshold_


def sigmoid(input):
    return _ops.sigmoid(input)


def tanh(input):
    return _ops.tanh(input)


def gelu(input, *, approximate="none"):
    return _ops.gelu(input, approximate=approximate)


def gelu_positional(input, approximate="none"):
    return _ops.gelu(input, approximate=approximate)


def leaky_relu(input, negative_slope=0.01, inplace=False):
    return (_ops.leaky_relu_ if inplace else _ops.leaky_relu)(input, negative_slope)


def elu(input, alpha=1.0, inplace=False):
    return (_ops.elu_ if inplace else _ops.elu)(input, alpha)


def celu(input, alpha=1.0, inplace=False):
    return (_ops.celu_ if inplace else _ops.celu)(input, alpha)


def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    return (_ops.hardtanh_ if inplace else _ops.hardtanh)(input, min_val, max_val)


def threshold(input, threshold, value, inplace=False):
    return (_ops.threshold_ if inplace else _ops.threshold)(input, threshold, value)


def rrelu(input, lower=1.0 / 8, upper=1.0 / 3, training=False, inplace=False):
    if training:
        slope = _ops.rand_like(input) * (upper - lower) + lower
    else:
        slope = (lower + upper) / 2
    kept = input.clone() if inplace else input  # what the gradient needs, when input itself is written
    result = _ops.where(kept >= 0, kept, kept * slope)
    return input.copy_(result) if inplace else result


def prelu(input, weight):
    if hasattr(_ops, "prelu"):
        return _ops.prelu(input, weight)
    if weight.numel() != 1:
        if input.dim() < 2 or input.shape[1] != weight.numel():
            raise RuntimeError("Mismatch of parameter numbers and input channel size. Found parameter numbers = %d and channel size = %d."
                               % (weight.numel(), input.shape[1] if input.dim() > 1 else 1))
        weight = weight.reshape([1, -1] + [1] * (input.dim() - 2))
    return _ops.where(input > 0, input, weight * input)


def softplus(input, beta=1.0, threshold=20.0):
    return _ops.softplus(input, beta, threshold)


def softsign(input):
    return input / (input.abs() + 1)


def tanhshrink(input):
    return input - input.tanh()


def softshrink(input, lambd=0.5):
    return _ops.where(input > lambd, input - lambd, _ops.where(input < -lambd, input + lambd, input * 0))


def hardshrink(input, lambd=0.5):
    return input.masked_fill((input >= -lambd) & (input <= lambd), 0)


def logsigmoid(input):
    return -_ops.softplus(-input, 1.0, 50.0)


def glu(input, dim=-1):
    if hasattr(_ops, "glu"):
        return _ops.glu(input, dim)
    if input.dim() == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    if input.shape[dim] % 2:
        raise RuntimeError("Halving dimension must be even, but dimension %d is size %d" % (dim % input.dim(), input.shape[dim]))
    a, b = input.chunk(2, dim)
    return a * b.sigmoid()


def _implicit_dim(name, ndim, stacklevel):
    import warnings

    warnings.warn("Implicit dimension choice for %s has been deprecated. Change the call to include dim=X as an argument." % name,
                  stacklevel=stacklevel)
    return 0 if ndim in (0, 1, 3) else 1


def softmax(input, dim=None, _stacklevel=3, dtype=None):
    if dim is None:
        dim = _implicit_dim("softmax", input.dim(), _stacklevel)
    return _ops.softmax(input, dim) if dtype is None else _ops.softmax(input, dim, dtype=dtype)


def log_softmax(input, dim=None, _stacklevel=3, dtype=None):
    if dim is None:
        dim = _implicit_dim("log_softmax", input.dim(), _stacklevel)
    return _ops.log_softmax(input, dim) if dtype is None else _ops.log_softmax(input, dim, dtype=dtype)


def softmin(input, dim=None, _stacklevel=3, dtype=None):
    return softmax(-input, dim, _stacklevel + 1, dtype)


def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1):
    gumbels = -_ops.empty_like(logits).exponential_().log()
    soft = ((logits + gumbels) / tau).softmax(dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    return _ops.zeros_like(logits).scatter_(dim, index, 1.0) - soft.detach() + soft


def normalize(input, p=2.0, dim=1, eps=1e-12, out=None):
    return input / input.norm(p, dim, keepdim=True).clamp(min=eps).expand_as(input)


# ---- dropout ----
def _check_p(p):
    if p < 0.0 or p > 1.0:
        raise ValueError("dropout probability has to be between 0 and 1, but got %s" % p)


def dropout(input, p=0.5, training=True, inplace=False):
    if p < 0.0 or p > 1.0:
        _check_p(p)
    if inplace:
        return _ops.dropout_(input, p, training)
    return _ops.dropout(input, p, training)


def _feature_mask(input, p, training, inplace, zero=0.0):
    if not training or p == 0:
        return input
    shape = list(input.shape[:2]) + [1] * (input.dim() - 2)
    noise = _ops.empty(shape, dtype=input.dtype, device=input.device)
    if p == 1:
        noise.zero_()
    else:
        noise.bernoulli_(1 - p).div_(1 - p)
    return input.mul_(noise) if inplace else input * noise


def dropout1d(input, p=0.5, training=True, inplace=False):
    _check_p(p)
    if input.dim() not in (2, 3):
        raise RuntimeError("dropout1d: Expected 2D or 3D input, but received a %dD input. Note that dropout1d exists to provide "
                           "channel-wise dropout on inputs with 1 spatial dimension, a channel dimension, and an optional batch dimension "
                           "(i.e. 2D or 3D inputs)." % input.dim())
    if input.dim() == 2:
        return _feature_mask(input.unsqueeze(0), p, training, inplace).squeeze(0)
    return _feature_mask(input, p, training, inplace)


def dropout2d(input, p=0.5, training=True, inplace=False):
    _check_p(p)
    if input.dim() not in (3, 4):
        import warnings

        warnings.warn("dropout2d: Received a %d-D input to dropout2d, which is deprecated and will result in an error in a future release. "
                      "To retain the behavior and silence this warning, please use dropout instead. Note that dropout2d exists to provide "
                      "channel-wise dropout on inputs with 2 spatial dimensions, a channel dimension, and an optional batch dimension "
                      "(i.e. 3D or 4D inputs)." % input.dim())
    return _feature_mask(input, p, training, inplace)


def dropout3d(input, p=0.5, training=True, inplace=False):
    _check_p(p)
    return _feature_mask(input, p, training, inplace)


_ALPHA = 1.7580993408473766  # selu's scale times alpha


def _alpha(input, noise, p, inplace):
    a = 1.0 / math.sqrt((_ALPHA * _ALPHA * p + 1) * (1 - p))
    shift = (noise - 1) * (_ALPHA * a) + _ALPHA * a * p
    noise = noise * a
    return input.mul_(noise).add_(shift) if inplace else input * noise + shift


def alpha_dropout(input, p=0.5, training=False, inplace=False):
    _check_p(p)
    if not training or p == 0:
        return input
    return _alpha(input, _ops.empty_like(input).bernoulli_(1 - p), p, inplace)


def feature_alpha_dropout(input, p=0.5, training=False, inplace=False):
    _check_p(p)
    if not training or p == 0:
        return input
    shape = list(input.shape[:2]) + [1] * (input.dim() - 2)
    return _alpha(input, _ops.empty(shape, dtype=input.dtype, device=input.device).bernoulli_(1 - p), p, inplace)
