"""Methods of Tensor whose signature is not one operator's: conversions with many spellings, the new_* family, NumPy's protocol."""
from . import _C

_ops = _C.ops
_NAMES = {"Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64", "Int": "int32", "Short": "int16",
          "Char": "int8", "Byte": "uint8", "Bool": "bool"}


def _cast(dtype):
    def method(self, memory_format=None):
        return _ops.to(self, None, dtype)

    return method


def to(self, *args, **kwargs):
    device = kwargs.pop("device", None)
    dtype = kwargs.pop("dtype", None)
    other = kwargs.pop("other", None)
    non_blocking = bool(kwargs.pop("non_blocking", False))
    copy = bool(kwargs.pop("copy", False))
    memory_format = kwargs.pop("memory_format", None)
    if kwargs:
        raise TypeError("to() got an unexpected keyword argument '%s'" % next(iter(kwargs)))
    flags = []
    for a in args:
        if isinstance(a, _C.dtype) or a in (float, int, bool) and isinstance(a, type):
            dtype = a
        elif isinstance(a, bool):
            flags.append(a)
        elif isinstance(a, (_C.device, str, int)):
            device = a
        elif isinstance(a, _C.Tensor):
            other = a
        elif a is not None:
            raise TypeError("to() received an invalid combination of arguments - got (%s)" % ", ".join(type(x).__name__ for x in args))
    if flags:
        non_blocking = flags[0]
        copy = flags[1] if len(flags) > 1 else copy
    if other is not None:
        device, dtype = other.device, other.dtype
    result = _ops.to(self, device, dtype, non_blocking, copy)
    if memory_format is not None and memory_format is not _C.preserve_format:
        result = result.contiguous(memory_format=memory_format)
    return result


def cuda(self, device=None, non_blocking=False, memory_format=None):
    return _ops.to(self, "cuda" if device is None else device, None, bool(non_blocking))


def cpu(self, memory_format=None):
    return _ops.to(self, "cpu")


def type_(self, dtype=None, non_blocking=False):
    if dtype is None:
        kind = next(k for k, v in _NAMES.items() if getattr(_C, v) is self.dtype)
        return ("torch.cuda." if self.is_cuda else "torch.") + kind + "Tensor"
    if isinstance(dtype, str):
        name = dtype.rsplit(".", 1)[-1]
        if not name.endswith("Tensor") or name[:-6] not in _NAMES:
            raise ValueError("invalid type: '%s'" % dtype)
        return _ops.to(self, "cuda" if ".cuda." in dtype else None, getattr(_C, _NAMES[name[:-6]]))
    target = getattr(dtype, "dtype", dtype)
    return _ops.to(self, "cuda" if getattr(dtype, "is_cuda", False) is True else None, target)


def type_as(self, other):
    return _ops.to(self, other.device, other.dtype)


def _new(name):
    factory = getattr(_ops, name, None)

    def method(self, *size, dtype=None, device=None, requires_grad=False, **ignored):
        size = ignored.pop("size", size)
        if len(size) == 1 and isinstance(size[0], (list, tuple)):
            size = size[0]
        made = (factory or getattr(_ops, name))(tuple(size), dtype=dtype or self.dtype, device=device or self.device)
        return made.requires_grad_() if requires_grad else made

    return method


def new_full(self, size, fill_value, dtype=None, device=None, requires_grad=False, **ignored):
    made = _ops.full((size,) if isinstance(size, int) else tuple(size), fill_value, dtype=dtype or self.dtype, device=device or self.device)
    return made.requires_grad_() if requires_grad else made


def new_tensor(self, data, dtype=None, device=None, requires_grad=False):
    return _ops.tensor(data, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad)


def new(self, *args):
    if len(args) == 1 and isinstance(args[0], (list, _C.Tensor)):
        return new_tensor(self, args[0])
    return _ops.empty(tuple(args[0]) if len(args) == 1 and isinstance(args[0], (tuple, _C.Size)) else tuple(args), dtype=self.dtype, device=self.device)


def __array__(self, dtype=None, copy=None):
    array = self.detach().numpy() if self.requires_grad is False else self.numpy()
    return array if dtype is None else array.astype(dtype, copy=False)


def __array_wrap__(self, array, context=None, return_scalar=False):
    return _ops.as_tensor(array)


def __dlpack_device__(self):
    return (2, self.device.index) if self.is_cuda else (1, 0)


def __dlpack__(self, **kwargs):
    from .utils.dlpack import method

    return method(self, **kwargs)


def pin_memory(self, device=None):
    return _C.pin_memory(self)


def is_pinned(self, device=None):
    return _C.is_pinned(self)


def apply_(self, f):
    flat = [f(v) for v in self.reshape(-1).tolist()]
    self.copy_(_ops.tensor(flat, dtype=self.dtype).reshape(self.shape))
    return self


def get_device(self):
    return self.device.index if self.is_cuda else -1


def __reversed__(self):
    return self.flip(0) if self.dim() else self


def __rsub__(self, other):
    return _ops.rsub(self, other)


def data_(self):
    return self.detach()


def storage(self):
    from .storage import TypedStorage

    return TypedStorage(self)


_norm, _nonzero = _ops.norm, _ops.nonzero


def norm(self, p=2, dim=None, keepdim=False, dtype=None):
    if isinstance(p, str):
        from .composites import norm

        return norm(self, p, dim, keepdim, dtype=dtype)
    return _norm(self, p, dim, keepdim, dtype=dtype)


def nonzero(self, *, as_tuple=False):
    if as_tuple:
        from .composites import nonzero

        return nonzero(self, as_tuple=True)
    return _nonzero(self)


def untyped_storage(self):
    from .storage import UntypedStorage

    return UntypedStorage(self)


def split(self, split_size, dim=0):
    if isinstance(split_size, int):
        return _ops.split(self, split_size, dim)
    return _ops.split_with_sizes(self, list(split_size), dim)


def _derived(name):
    """The method of a word in derived.py, which loads at the first call."""
    def method(self, *args, **kwargs):
        from . import derived

        return getattr(derived, name)(self, *args, **kwargs)

    method.__name__ = method.__qualname__ = name
    return method


def _derived_(name):
    def method(self, *args, **kwargs):
        from . import derived

        return self.copy_(getattr(derived, name)(self, *args, **kwargs))

    method.__name__ = method.__qualname__ = name + "_"
    return method


# Listed here too, so that derived.py need not be read before one of them is called.
_DERIVED = ("inner vdot argwhere msort mode nanmean nanmedian nanquantile logcumsumexp float_power heaviside ldexp sinc signbit isposinf "
            "isneginf isreal is_nonzero is_same_size logaddexp2 addr addbmm matrix_power renorm select_scatter slice_scatter "
            "diagonal_scatter put narrow_copy index_reduce unique unique_consecutive histogram prelu hardshrink").split()
_DERIVED_INPLACE = "float_power heaviside ldexp sinc addr renorm put index_reduce".split()


def install():
    add = _C.add_tensor_method
    for kind, name in _NAMES.items():
        short = {"BFloat16": "bfloat16"}.get(kind, kind.lower())
        add(short, _cast(getattr(_C, name)))
    for f in (to, cuda, cpu, type_as, new_full, new_tensor, new, __array__, __array_wrap__, __dlpack_device__, __dlpack__, pin_memory, is_pinned, apply_,
              get_device, __reversed__, storage, untyped_storage, norm, nonzero):
        add(f.__name__, f)
    add("type", type_)
    for name in ("zeros", "ones", "empty"):
        add("new_" + name, _new(name))
    own = vars(_C.Tensor)
    for name in _DERIVED:
        if name not in own:
            add(name, _derived(name))
    for name in _DERIVED_INPLACE:
        add(name + "_", _derived_(name))
    if "sub" in own and "add" in own:
        add("__rsub__", own.get("__rsub__", __rsub__))


install()
