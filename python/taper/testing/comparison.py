"""Comparison of tensors and of what holds them, with torch's tolerances."""
from .. import _C

_ops = _C.ops
_TOLERANCES = {"float64": (1e-7, 1e-7), "float32": (1.3e-6, 1e-5), "float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5)}


def default_tolerances(*tensors):
    pairs = [_TOLERANCES.get(str(t.dtype)[6:], (0.0, 0.0)) for t in tensors]
    return max(p[0] for p in pairs), max(p[1] for p in pairs)


def _where(path):
    return "".join("[%r]" % (p,) for p in path)


def _fail(msg, text, path):
    if path:
        text += "\n\nThe failure occurred for item %s" % _where(path)
    raise AssertionError(text if msg is None else (msg(text) if callable(msg) else msg))


def _close(actual, expected, path, o):
    if isinstance(expected, dict):
        if not isinstance(actual, dict) or set(actual) != set(expected):
            _fail(o["msg"], "The keys of the mappings do not match:\nMissing keys in the actual mapping: %s\nAdditional keys in the actual "
                  "mapping: %s" % (sorted(set(expected) - set(actual)), sorted(set(actual) - set(expected))), path)
        for k in expected:
            _close(actual[k], expected[k], path + [k], o)
        return
    if isinstance(expected, (list, tuple)) and isinstance(actual, (list, tuple)):
        if len(actual) != len(expected):
            _fail(o["msg"], "The length of the sequences mismatch: %d != %d" % (len(actual), len(expected)), path)
        for i, (a, e) in enumerate(zip(actual, expected)):
            _close(a, e, path + [i], o)
        return
    if actual is None and expected is None:
        return
    scalar = not isinstance(actual, _C.Tensor) and not isinstance(expected, _C.Tensor)
    try:
        a = actual if isinstance(actual, _C.Tensor) else _ops.as_tensor(actual)
        e = expected if isinstance(expected, _C.Tensor) else _ops.as_tensor(expected)
    except (TypeError, ValueError, RuntimeError):
        if actual == expected:
            return
        _fail(o["msg"], "Object comparison failed: %r != %r" % (actual, expected), path)
    if not o["allow_subclasses"] and type(actual) is not type(expected):
        raise TypeError("allow_subclasses=False and the types differ: %s and %s" % (type(actual), type(expected)))
    if a.shape != e.shape:
        _fail(o["msg"], "The values for attribute 'shape' do not match: %s != %s." % (a.shape, e.shape), path)
    if o["check_device"] and a.device != e.device:
        _fail(o["msg"], "The values for attribute 'device' do not match: %s != %s." % (a.device, e.device), path)
    if o["check_dtype"] and a.dtype != e.dtype:
        _fail(o["msg"], "The values for attribute 'dtype' do not match: %s != %s." % (a.dtype, e.dtype), path)
    if o["check_stride"] and a.stride() != e.stride():
        _fail(o["msg"], "The values for attribute 'stride()' do not match: %s != %s." % (a.stride(), e.stride()), path)
    rtol, atol = (o["rtol"], o["atol"]) if o["rtol"] is not None else default_tolerances(a, e)
    a, e = a.detach().cpu().double(), e.detach().cpu().double()
    bad = ~_ops.isclose(a, e, rtol=rtol, atol=atol, equal_nan=o["equal_nan"])
    count = int(bad.sum())
    if not count:
        return
    difference = (a - e).abs().masked_fill(~bad, 0)
    relative = (difference / e.abs()).masked_fill(~bad, 0)
    kind = "Scalars" if scalar else "Tensor-likes"
    if scalar or a.dim() == 0:
        text = "%s are not close!\n\nExpected %s but got %s.\nAbsolute difference: %s (up to %s allowed)\nRelative difference: %s (up to %s " \
               "allowed)" % (kind, e.item(), a.item(), difference.item(), atol, relative.item(), rtol)
    else:
        def place(t):
            i, index = int(t.argmax()), []
            for s in reversed(t.shape):
                index.insert(0, i % s)
                i //= s
            return tuple(index)

        exact = rtol == 0 and atol == 0
        text = "%s are not %s!\n\nMismatched elements: %d / %d (%.1f%%)\nGreatest absolute difference: %s at index %s%s\nGreatest relative " \
               "difference: %s at index %s%s" % (
                   kind, "equal" if exact else "close", count, a.numel(), 100 * count / a.numel(), difference.max().item(),
                   place(difference), "" if exact else " (up to %s allowed)" % atol, relative.max().item(), place(relative),
                   "" if exact else " (up to %s allowed)" % rtol)
    _fail(o["msg"], text, path)


def assert_close(actual, expected, *, allow_subclasses=True, rtol=None, atol=None, equal_nan=False, check_device=True, check_dtype=True,
                 check_layout=True, check_stride=False, msg=None):
    if (rtol is None) != (atol is None):
        raise ValueError("Both 'rtol' and 'atol' must be either specified or unspecified, but got no %s" % ("rtol" if rtol is None else "atol"))
    _close(actual, expected, [], dict(allow_subclasses=allow_subclasses, rtol=rtol, atol=atol, equal_nan=equal_nan,
                                      check_device=check_device, check_dtype=check_dtype, check_stride=check_stride, msg=msg))


def assert_allclose(actual, expected, rtol=None, atol=None, equal_nan=True, msg=""):
    assert_close(_ops.as_tensor(actual), _ops.as_tensor(expected), rtol=rtol, atol=atol, equal_nan=equal_nan, check_device=True,
                 check_dtype=False, check_stride=False, msg=msg or None)


def make_tensor(*shape, dtype, device="cpu", low=None, high=None, requires_grad=False, noncontiguous=False, exclude_zero=False,
                memory_format=None):
    shape = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    if dtype == _C.bool:
        return _ops.randint(0, 2, shape, device=device).to(dtype)
    if dtype.is_floating_point:
        low, high = (-9 if low is None else low), (9 if high is None else high)
        t = (_ops.rand(shape, device=device) * (high - low) + low).to(dtype)
    else:
        low, high = (-9 if low is None and dtype != _C.uint8 else low or 0), (10 if high is None else high)
        t = _ops.randint(low, high, shape, dtype=dtype, device=device)
    if exclude_zero:
        t = t.masked_fill(t == 0, 1)
    return t.requires_grad_() if requires_grad else t
