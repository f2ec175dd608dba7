"""taper: PyTorch's names over the taper library.

Names come from three places: the extension `_C` (tensors, dtypes, operators), this file (small things that must be there at once),
and submodules that load when first looked at (`nn`, `optim`, ... and the names in `_LAZY`), which keeps `import taper` short.
"""
from . import _C
from ._C import Generator, Size, Tensor, default_generator, device, dtype
from .version import __version__

# The steps of optimisers are asked of the extension itself.
for _name, _value in vars(_C.ops).items():
    if _name.startswith("fused_") or _name.startswith("amp_") or _name == "clip_grad_norm_":
        setattr(_C, _name, _value)
from . import _tensor_methods

_C._log_api_usage_once = lambda event: None  # torchvision's sources call it when they are imported

e = 2.718281828459045
pi = 3.141592653589793
inf = float("inf")
nan = float("nan")
newaxis = None

_names = globals()
# Operators under their own names, then dtypes, layouts and memory formats with their aliases: from here on `float`, `int`, `bool`,
# `abs`... are torch's, not Python's.
for _name, _value in vars(_C.ops).items():
    if not _name.startswith("__"):
        _names[_name] = _value
for _name, _value in vars(_C).items():
    if isinstance(_value, (_C.dtype, _C.layout, _C.memory_format)):
        _names[_name] = _value
del _name, _value

get_default_dtype = _C.get_default_dtype
set_default_dtype = _C.set_default_dtype
get_default_device = _C.get_default_device
set_default_device = _C.set_default_device
get_num_threads = _C.get_num_threads
set_num_threads = _C.set_num_threads
is_grad_enabled = _C.is_grad_enabled
is_inference_mode_enabled = _C.is_inference_mode_enabled
is_autocast_enabled = _C.is_autocast_enabled
get_autocast_dtype = _C.get_autocast_dtype

_SUBMODULES = frozenset(
    "accelerator amp autograd backends compiler cuda distributed distributions fx func jit library linalg multiprocessing nn onnx "
    "optim overrides profiler random serialization special sparse testing torch_version types utils version _dynamo _jit_internal "
    "_inductor _tensor _tensor_str _utils cpu mps xpu hub futures storage export monitor fft quantization ao return_types".split()
)

# name -> (module, name there)
_LAZY = {}
for _module, _words in {
    ".autograd.grad_mode": "no_grad enable_grad set_grad_enabled inference_mode",
    ".autograd.profiler": "",
    ".amp": "autocast GradScaler",
    ".cuda": "OutOfMemoryError",
    ".random": "manual_seed seed initial_seed get_rng_state set_rng_state fork_rng",
    ".serialization": "save load",
    ".utils.dlpack": "from_dlpack to_dlpack",
    "._tensor_str": "set_printoptions",
    ".compiler": "compile",
    ".settings": "use_deterministic_algorithms are_deterministic_algorithms_enabled is_deterministic_algorithms_warn_only_enabled "
    "set_deterministic_debug_mode get_deterministic_debug_mode set_float32_matmul_precision get_float32_matmul_precision "
    "set_num_interop_threads get_num_interop_threads set_warn_always is_warn_always_enabled set_flush_denormal "
    "set_default_tensor_type typename is_tensor is_storage _assert is_autocast_cache_enabled set_autocast_enabled "
    "set_autocast_dtype set_autocast_cache_enabled clear_autocast_cache get_autocast_gpu_dtype get_autocast_cpu_dtype "
    "is_autocast_cpu_enabled get_file_path get_device_module is_vulkan_available compiled_with_cxx11_abi",
    ".tensortypes": "finfo iinfo FloatTensor DoubleTensor HalfTensor BFloat16Tensor LongTensor IntTensor ShortTensor CharTensor "
    "ByteTensor BoolTensor",
    ".composites": "meshgrid broadcast_tensors broadcast_shapes atleast_1d atleast_2d atleast_3d cartesian_prod block_diag "
    "tensordot unravel_index chain_matmul unique unique_consecutive einsum norm nonzero",
}.items():
    for _name in _words.split():
        # These eight: the operators have other parameters than torch's functions.
        if _name in ("tensordot", "einsum", "norm", "nonzero", "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_tensors") or _name not in _names:
            _LAZY[_name] = _module
            _names.pop(_name, None)
del _module, _words, _name


def __getattr__(name):
    module = _LAZY.get(name)
    if module is not None:
        from importlib import import_module

        value = getattr(import_module(module, __package__), name)
        globals()[name] = value
        return value
    if name in _SUBMODULES:
        from importlib import import_module

        return import_module("." + name, __package__)
    if name in ("ops", "classes"):
        from .library import OperatorNamespaces, NoClasses

        value = globals()[name] = OperatorNamespaces() if name == "ops" else NoClasses()
        return value
    if name.startswith("__"):
        raise AttributeError("module 'torch' has no attribute '%s'" % name)
    value = getattr(_C.ops, name, None)
    if value is None and name.startswith("_foreach_"):
        from ._foreach import make

        value = make(name[9:])
    elif value is None:
        from importlib import import_module

        derived = import_module(".derived", __package__)
        if name in derived.BOTH or name in derived.FUNCTIONS or name in derived.NEURAL:
            value = getattr(derived, name, None)
    if value is None:
        raise AttributeError("module 'torch' has no attribute '%s'" % name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(set(globals()) | set(_LAZY) | _SUBMODULES)

