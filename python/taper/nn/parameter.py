"""Parameters and buffers: tensors that a Module registers when they are assigned to it."""
from collections import OrderedDict

from .. import _C

__all__ = ["Parameter", "Buffer", "UninitializedParameter", "UninitializedBuffer", "is_lazy"]


class _ParameterMeta(type(_C.Tensor)):
    def __instancecheck__(cls, obj):
        if cls is Parameter and isinstance(obj, _C.Tensor) and getattr(obj, "_is_param", False):
            return True
        return super().__instancecheck__(obj)


class Parameter(_C.Tensor, metaclass=_ParameterMeta):
    """Parameter(data=None, requires_grad=True): a leaf tensor that shares the memory of data."""

    def __new__(cls, data=None, requires_grad=True):
        if data is None:
            data = _C.ops.empty(0)
        if type(data) is _C.Tensor or type(data) is Parameter:
            return _C.Tensor._make_subclass(cls, data, requires_grad)
        if not isinstance(data, _C.Tensor):
            raise TypeError("Parameter data has to be a tensor, but got " + type(data).__name__)
        # A subclass of Tensor keeps its class and is marked instead.
        t = data.detach().requires_grad_(requires_grad)
        if type(t) is not type(data):
            raise RuntimeError("Creating a Parameter from an instance of type %s requires that detach() returns an instance of the "
                               "same type, but return type %s was found instead." % (type(data).__name__, type(t).__name__))
        t._is_param = True
        return t

    def __deepcopy__(self, memo):
        if id(self) in memo:
            return memo[id(self)]
        result = type(self)(self.data.clone(), self.requires_grad)
        memo[id(self)] = result
        return result

    def __repr__(self):
        return "Parameter containing:\n" + super().__repr__()

    def __reduce_ex__(self, proto):
        from .._utils import _rebuild_parameter, _rebuild_parameter_with_state

        state = {k: v for k, v in getattr(self, "__dict__", {}).items()}
        if state:
            return _rebuild_parameter_with_state, (self.data, self.requires_grad, OrderedDict(), state)
        return _rebuild_parameter, (self.data, self.requires_grad, OrderedDict())


class _BufferMeta(type(_C.Tensor)):
    def __instancecheck__(cls, obj):
        if cls is Buffer and isinstance(obj, _C.Tensor) and getattr(obj, "_is_buffer", False):
            return True
        return super().__instancecheck__(obj)


class Buffer(_C.Tensor, metaclass=_BufferMeta):
    """Buffer(data=None, *, persistent=True): a tensor that a Module registers as a buffer."""

    def __new__(cls, data=None, *, persistent=True):
        if data is None:
            data = _C.ops.empty(0)
        t = data.detach().requires_grad_(data.requires_grad)
        t.persistent = persistent
        t._is_buffer = True
        return t


class _Uninitialized:
    """A tensor of shape and values still unknown: its shape comes with the first batch."""

    def materialize(self, shape, device=None, dtype=None):
        device = self.data.device if device is None else device
        dtype = self.data.dtype if dtype is None else dtype
        self.data = _C.ops.empty(shape, device=device, dtype=dtype)
        self.__class__ = self.cls_to_become

    @property
    def shape(self):
        raise RuntimeError("Can't access the shape of an uninitialized parameter or buffer. This error usually happens in "
                           "`load_state_dict` when trying to load an uninitialized parameter into an initialized one. Call `forward` "
                           "to initialize the parameters before accessing their attributes.")

    def __repr__(self):
        return "<%s>" % type(self).__name__


class UninitializedParameter(_Uninitialized, Parameter):
    cls_to_become = Parameter

    def __new__(cls, requires_grad=True, device=None, dtype=None):
        return _C.Tensor._make_subclass(cls, _C.ops.empty(0, device=device, dtype=dtype), requires_grad)


class UninitializedBuffer(_Uninitialized, _C.Tensor):
    cls_to_become = _C.Tensor

    def __new__(cls, requires_grad=False, device=None, dtype=None, persistent=True):
        t = _C.Tensor._make_subclass(cls, _C.ops.empty(0, device=device, dtype=dtype), requires_grad)
        t.persistent, t._is_buffer = persistent, True
        return t


def is_lazy(param):
    return isinstance(param, _Uninitialized)
