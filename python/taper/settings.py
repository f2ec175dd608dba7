"""Process-wide switches of `torch.*` and small questions about objects."""
from . import _C

_deterministic = {"on": True, "warn_only": False, "mode": 0}
_matmul_precision = "highest"
_warn_always = False


def use_deterministic_algorithms(mode, *, warn_only=False):
    """Results are deterministic by default; True is a promise that is already kept, False changes nothing."""
    _deterministic["mode"] = 0 if not mode else (1 if warn_only else 2)
    _deterministic["warn_only"] = bool(mode and warn_only)


def are_deterministic_algorithms_enabled():
    return _deterministic["mode"] != 0


def is_deterministic_algorithms_warn_only_enabled():
    return _deterministic["warn_only"]


def set_deterministic_debug_mode(debug_mode):
    modes = {"default": 0, "warn": 1, "error": 2, 0: 0, 1: 1, 2: 2}
    if debug_mode not in modes:
        raise RuntimeError(
            "invalid value of debug_mode, expected one of `default`, `warn`, `error`, but got %s" % (debug_mode,)
        )
    mode = modes[debug_mode]
    use_deterministic_algorithms(mode != 0, warn_only=mode == 1)


def get_deterministic_debug_mode():
    return _deterministic["mode"]


def set_float32_matmul_precision(precision):
    """"highest" computes in float32; "high" and "medium" allow TF32 on GPUs."""
    global _matmul_precision
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError("Invalid value of `precision`: expected one of 'highest', 'high' or 'medium', got %r" % (precision,))
    _matmul_precision = precision
    from . import backends

    backends.cuda.matmul._set("allow_tf32", precision != "highest")


def get_float32_matmul_precision():
    return _matmul_precision


def set_num_interop_threads(n):
    if n < 1:
        raise RuntimeError("set_num_interop_threads expects a positive integer")


def get_num_interop_threads():
    return 1


def set_warn_always(b):
    global _warn_always
    _warn_always = bool(b)


def is_warn_always_enabled():
    return _warn_always


def set_flush_denormal(mode):
    return False


def set_default_tensor_type(t):
    """Old door to set_default_dtype and set_default_device."""
    from . import tensortypes

    t = tensortypes.resolve(t)
    _C.set_default_dtype(t.dtype)
    _C.set_default_device("cuda" if t.is_cuda else "cpu")


def typename(obj):
    if isinstance(obj, _C.Tensor):
        return obj.type()
    owner = type(obj) if not hasattr(obj, "__qualname__") else obj
    module = getattr(owner, "__module__", "") or ""
    if module in ("", "builtins", "__builtin__"):
        return owner.__qualname__
    return module + "." + owner.__qualname__


def is_tensor(obj, /):
    return isinstance(obj, _C.Tensor)


def is_storage(obj, /):
    kind = getattr(_C, "UntypedStorage", None)
    return kind is not None and isinstance(obj, kind)


def _assert(condition, message):
    assert condition, message


def is_autocast_cache_enabled():
    return _C.is_autocast_cache_enabled()


def set_autocast_enabled(device_type, enabled=None):
    if enabled is None:
        device_type, enabled = "cuda", device_type
    _C.set_autocast_enabled(device_type, enabled)


def set_autocast_dtype(device_type, dtype):
    _C.set_autocast_dtype(device_type, dtype)


def set_autocast_cache_enabled(enabled):
    _C.set_autocast_cache_enabled(enabled)


def clear_autocast_cache():
    _C.clear_autocast_cache()


def get_autocast_gpu_dtype():
    return _C.get_autocast_dtype("cuda")


def get_autocast_cpu_dtype():
    return _C.get_autocast_dtype("cpu")


def is_autocast_cpu_enabled():
    return _C.is_autocast_enabled("cpu")


def get_file_path(*parts):
    import os

    return os.path.join(os.path.dirname(os.path.abspath(__file__)), *parts)


def get_device_module(device=None):
    from importlib import import_module

    kind = _C.device(device).type if device is not None else ("cuda" if _C.cuda_device_count() else "cpu")
    return import_module("." + kind, __package__)


def is_vulkan_available():
    return False


def compiled_with_cxx11_abi():
    return True
