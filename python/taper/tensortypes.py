"""Old tensor types: `torch.FloatTensor(2, 3)`, `isinstance(x, torch.LongTensor)`, `x.type(torch.cuda.FloatTensor)`; and the
limits of dtypes, finfo and iinfo."""
from . import _C


class _TensorTypeMeta(type):
    def __instancecheck__(cls, obj):
        if not isinstance(obj, _C.Tensor):
            return False
        return obj.dtype == cls.dtype and obj.device.type == ("cuda" if cls.is_cuda else "cpu")

    def __repr__(cls):
        return "<class '%s'>" % cls.type_name

    def __str__(cls):
        return "<class '%s'>" % cls.type_name


def _build(dtype, device, args, kwargs):
    given = kwargs.pop("device", None)
    if given is not None:
        if _C.device(given).type != _C.device(device).type:
            raise RuntimeError("legacy constructor expects device type: %s but device type: %s was passed"
                               % (_C.device(device).type, _C.device(given).type))
        device = given
    size = kwargs.pop("size", None)
    if kwargs:
        raise TypeError("legacy tensor constructor got an unexpected keyword argument '%s'" % next(iter(kwargs)))
    ops = _C.ops
    if size is not None:
        return ops.empty(tuple(size), dtype=dtype, device=device)
    if not args:
        return ops.empty((0,), dtype=dtype, device=device)
    first = args[0]
    if len(args) == 1 and not isinstance(first, int):
        if isinstance(first, _C.Size):
            return ops.empty(tuple(first), dtype=dtype, device=device)
        if isinstance(first, _C.Tensor):
            if first.dtype != dtype:
                raise TypeError("expected %s (got %s)" % (dtype, first.dtype))
            return first.detach().to(device)
        if isinstance(first, float):
            raise TypeError("new(): data must be a sequence (got float)")
        return ops.tensor(first, dtype=dtype, device=device)
    return ops.empty(tuple(int(a) for a in args), dtype=dtype, device=device)


def _make(name, dtype, is_cuda):
    kind = "torch.cuda." if is_cuda else "torch."

    def new(cls, *args, **kwargs):
        return _build(dtype, "cuda" if is_cuda else "cpu", args, kwargs)

    return _TensorTypeMeta(
        name,
        (),
        {"__new__": new, "__module__": kind[:-1], "dtype": dtype, "is_cuda": is_cuda, "is_sparse": False, "type_name": kind + name,
         "__doc__": "Constructor and type test for %s tensors." % dtype},
    )


_TABLE = {
    "FloatTensor": _C.float32,
    "DoubleTensor": _C.float64,
    "HalfTensor": _C.float16,
    "BFloat16Tensor": _C.bfloat16,
    "LongTensor": _C.int64,
    "IntTensor": _C.int32,
    "ShortTensor": _C.int16,
    "CharTensor": _C.int8,
    "ByteTensor": _C.uint8,
    "BoolTensor": _C.bool,
}
CPU = {name: _make(name, dtype, False) for name, dtype in _TABLE.items()}
CUDA = {name: _make(name, dtype, True) for name, dtype in _TABLE.items()}
globals().update(CPU)


def resolve(t):
    """A tensor type from what scripts pass for one: the class, "torch.cuda.FloatTensor", or torch.Tensor (the default type)."""
    if isinstance(t, str):
        head, _, name = t.rpartition(".")
        table = {"torch": CPU, "torch.cuda": CUDA}.get(head, {})
        if name in table:
            return table[name]
        raise ValueError("invalid type: '%s'" % t)
    if isinstance(t, _TensorTypeMeta):
        return t
    if t is _C.Tensor:
        return next(c for c in CPU.values() if c.dtype == _C.get_default_dtype())
    raise TypeError("invalid type object: only floating-point types are supported as the default type")


# dtype name -> (bits, eps, max, tiny, resolution, smallest_subnormal)
_FLOATS = {
    "float64": (64, 2.0**-52, 1.7976931348623157e308, 2.0**-1022, 1e-15, 2.0**-1074),
    "float32": (32, 2.0**-23, 3.4028234663852886e38, 2.0**-126, 1e-06, 2.0**-149),
    "float16": (16, 2.0**-10, 65504.0, 2.0**-14, 0.001, 2.0**-24),
    "bfloat16": (16, 2.0**-7, 3.3895313892515355e38, 2.0**-126, 0.01, 2.0**-133),
    "float8_e4m3fn": (8, 0.125, 448.0, 2.0**-6, 1.0, 2.0**-9),
    "float8_e5m2": (8, 0.25, 57344.0, 2.0**-14, 1.0, 2.0**-16),
}
_INTS = {"uint8": (8, 0, 255), "int8": (8, -128, 127), "int16": (16, -(2**15), 2**15 - 1), "int32": (32, -(2**31), 2**31 - 1),
         "int64": (64, -(2**63), 2**63 - 1)}


def _dtype_name(dtype):
    return str(dtype)[6:]


class finfo:
    """Limits of a floating dtype."""

    def __init__(self, type=None):
        self.dtype = _dtype_name(type if type is not None else _C.get_default_dtype())
        if self.dtype not in _FLOATS:
            raise TypeError("torch.finfo() requires a floating point input type. Use torch.iinfo to handle '%s'" % self.dtype)
        self.bits, self.eps, self.max, self.tiny, self.resolution, self.smallest_subnormal = _FLOATS[self.dtype]
        self.min = -self.max
        self.smallest_normal = self.tiny

    def __repr__(self):
        return "finfo(resolution=%g, min=%g, max=%g, eps=%g, smallest_normal=%g, tiny=%g, dtype=%s)" % (
            self.resolution, self.min, self.max, self.eps, self.tiny, self.tiny, self.dtype)

    def __eq__(self, other):
        return isinstance(other, finfo) and self.dtype == other.dtype


class iinfo:
    """Limits of an integer dtype."""

    def __init__(self, type):
        self.dtype = _dtype_name(type)
        if self.dtype not in _INTS:
            raise TypeError("torch.iinfo() requires an integer input type. Use torch.finfo to handle '%s'" % self.dtype)
        self.bits, self.min, self.max = _INTS[self.dtype]

    def __repr__(self):
        return "iinfo(min=%d, max=%d, dtype=%s)" % (self.min, self.max, self.dtype)

    def __eq__(self, other):
        return isinstance(other, iinfo) and self.dtype == other.dtype
