"""Regions in which matrix products run in low precision."""
from functools import wraps

from .. import _C

__all__ = ["autocast", "custom_fwd", "custom_bwd", "is_autocast_available", "autocast_decorator"]

_DTYPES = {"cpu": (_C.bfloat16, _C.float16), "cuda": (_C.bfloat16, _C.float16)}
_depth = 0


def is_autocast_available(device_type):
    return device_type in _DTYPES


def autocast_decorator(autocast_instance, func):
    @wraps(func)
    def decorated(*args, **kwargs):
        with autocast_instance:
            return func(*args, **kwargs)

    return decorated


class autocast:
    """autocast(device_type, dtype=None, enabled=True, cache_enabled=None), as context or decorator."""

    def __init__(self, device_type, dtype=None, enabled=True, cache_enabled=None):
        if not isinstance(device_type, str):
            raise ValueError("Expected `device_type` of type `str`, got: `%s`" % type(device_type))
        device_type = device_type.partition(":")[0]
        if device_type not in _DTYPES:
            raise RuntimeError("User specified an unsupported autocast device_type '%s'" % device_type)
        self.device = device_type
        self.fast_dtype = _C.get_autocast_dtype(device_type) if dtype is None else dtype
        self._cache_enabled = _C.is_autocast_cache_enabled() if cache_enabled is None else cache_enabled
        if device_type == "cuda" and enabled and not _C.cuda_device_count():
            _warn("User provided device_type of 'cuda', but CUDA is not available. Disabling")
            enabled = False
        if enabled and self.fast_dtype not in _DTYPES[device_type]:
            if device_type == "cpu":
                if self.fast_dtype != _C.float32:
                    _warn("In CPU autocast, but the target dtype is not supported. Disabling autocast.\nCPU Autocast only supports dtype of "
                          "torch.bfloat16, torch.float16 currently.")
            else:
                _warn("In CUDA autocast, but the target dtype is not supported. Disabling autocast.\nCUDA Autocast only supports dtypes of "
                      "torch.bfloat16, torch.float16 currently.")
            enabled = False
        self._enabled = enabled

    def __enter__(self):
        global _depth
        device = self.device
        self.prev = _C.is_autocast_enabled(device)
        self.prev_fastdtype = _C.get_autocast_dtype(device)
        self.prev_cache_enabled = _C.is_autocast_cache_enabled()
        _C.set_autocast_enabled(device, self._enabled)
        _C.set_autocast_dtype(device, self.fast_dtype)
        _C.set_autocast_cache_enabled(self._cache_enabled)
        _depth += 1
        return self

    def __exit__(self, *exc):
        global _depth
        _depth -= 1
        if _depth == 0:  # copies in low precision live no longer than the outermost region
            _C.clear_autocast_cache()
        _C.set_autocast_enabled(self.device, self.prev)
        _C.set_autocast_dtype(self.device, self.prev_fastdtype)
        _C.set_autocast_cache_enabled(self.prev_cache_enabled)
        return False

    def __call__(self, func):
        return autocast_decorator(self, func)


def _warn(message):
    import warnings

    warnings.warn(message, stacklevel=3)


def _cast(value, device_type, dtype):
    if isinstance(value, _C.Tensor):
        eligible = value.is_floating_point() and value.device.type == device_type and value.dtype != _C.float64
        return value.to(dtype) if eligible else value
    if isinstance(value, (str, bytes)):
        return value
    if isinstance(value, dict):
        return {_cast(k, device_type, dtype): _cast(v, device_type, dtype) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_cast(v, device_type, dtype) for v in value)
    return value


def custom_fwd(fwd=None, *, device_type, cast_inputs=None):
    """For forward of a custom Function: the autocast state it runs in, and a dtype for its inputs."""
    if fwd is None:
        return lambda f: custom_fwd(f, device_type=device_type, cast_inputs=cast_inputs)

    @wraps(fwd)
    def decorated(*args, **kwargs):
        args[0]._dtype = _C.get_autocast_dtype(device_type)
        if cast_inputs is None:
            args[0]._fwd_used_autocast = _C.is_autocast_enabled(device_type)
            return fwd(*args, **kwargs)
        inside = _C.is_autocast_enabled(device_type)
        args[0]._fwd_used_autocast = False
        if not inside:
            return fwd(*args, **kwargs)
        with autocast(device_type, enabled=False):
            return fwd(*_cast(args, device_type, cast_inputs), **_cast(kwargs, device_type, cast_inputs))

    return decorated


def custom_bwd(bwd=None, *, device_type):
    if bwd is None:
        return lambda f: custom_bwd(f, device_type=device_type)

    @wraps(bwd)
    def decorated(*args, **kwargs):
        with autocast(device_type, enabled=args[0]._fwd_used_autocast, dtype=args[0]._dtype):
            return bwd(*args, **kwargs)

    return decorated
