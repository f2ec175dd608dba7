"""torch.autograd.Variable: the old name of Tensor. Calling it gives back the tensor with requires_grad set."""
from .. import _C


class _VariableMeta(type):
    def __instancecheck__(cls, obj):
        return isinstance(obj, _C.Tensor)


class Variable(metaclass=_VariableMeta):
    """Variable(data, requires_grad=False): a tensor that shares the data of `data`."""

    def __new__(cls, data=None, requires_grad=False, volatile=None, creator=None):
        if volatile is not None:
            import warnings

            warnings.warn("volatile was removed (Variable.volatile is always False); use `with torch.no_grad():` instead.",
                          stacklevel=2)
        if data is None:
            data = _C.ops.empty(0)
        if not isinstance(data, _C.Tensor):
            raise TypeError("Variable data has to be a tensor, but got " + type(data).__name__)
        result = data.detach()
        if requires_grad:
            result.requires_grad_(True)
        return result
