"""torch.backends: switches that scripts set. Each switch that the engine knows is handed to it; the others only keep their value."""
import sys
import types

from .. import _C


class _Switches(types.ModuleType):
    """A module whose switches are attributes with a memory: `switches` maps an attribute to its default."""

    switches = {}

    def __setattr__(self, name, value):
        if name in self.switches:
            self._set(name, value)
        else:
            super().__setattr__(name, value)

    def _set(self, name, value):
        self.__dict__["_values"][name] = value
        tell = getattr(_C, "set_backend_flag", None)
        if tell is not None:
            tell(self.path + "." + name, value)

    def __getattr__(self, name):
        if name in self.switches:
            return self.__dict__["_values"][name]
        raise AttributeError("module 'torch.backends.%s' has no attribute '%s'" % (self.path, name))


def _module(path, switches, functions=(), **plain):
    kind = type("_Backend", (_Switches,), {"switches": switches, "path": path})
    module = kind("%s.%s" % (__name__, path))
    module.__dict__["_values"] = dict(switches)
    module.__dict__["__package__"] = __package__
    for f in functions:
        module.__dict__[f.__name__] = f
    module.__dict__.update(plain)
    sys.modules["taper.backends." + path] = module
    return module


class _Flags:
    """cudnn.flags(...): switches set for a block."""

    def __init__(self, module, values):
        self.module, self.values = module, values

    def __enter__(self):
        self.before = {k: getattr(self.module, k) for k in self.values}
        for k, v in self.values.items():
            setattr(self.module, k, v)

    def __exit__(self, *exc):
        for k, v in self.before.items():
            setattr(self.module, k, v)
        return False


def _yes():
    return True


def _no():
    return False


def is_built():
    return True


def is_available():
    return _C.cuda_device_count() > 0


matmul = _module("cuda.matmul", {"allow_tf32": False, "allow_fp16_reduced_precision_reduction": True,
                                 "allow_bf16_reduced_precision_reduction": True, "allow_fp16_accumulation": False})


def _sdp(name):
    state = {"on": True}

    def enable(enabled):
        state["on"] = bool(enabled)

    def is_on():
        return state["on"]

    enable.__name__, is_on.__name__ = "enable_%s_sdp" % name, "%s_sdp_enabled" % name
    return [enable, is_on]


class sdp_kernel:
    """Old choice of attention kernels: accepted, the engine chooses."""

    def __init__(self, enable_flash=True, enable_math=True, enable_mem_efficient=True, enable_cudnn=True):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return False


def preferred_linalg_library(backend=None):
    return "default"


def preferred_blas_library(backend=None):
    return "cublaslt"


cuda = _module("cuda", {}, [is_built, is_available, sdp_kernel, preferred_linalg_library, preferred_blas_library, *_sdp("flash"),
                            *_sdp("mem_efficient"), *_sdp("math"), *_sdp("cudnn")], matmul=matmul, SDPBackend=None,
               cufft_plan_cache=[])


def version():
    found = getattr(_C, "cudnn_version", lambda: None)()
    return found


def is_acceptable(tensor):
    return tensor.is_cuda and version() is not None


def flags(enabled=False, benchmark=False, benchmark_limit=10, deterministic=False, allow_tf32=True):
    return _Flags(cudnn, {"enabled": enabled, "benchmark": benchmark, "benchmark_limit": benchmark_limit, "deterministic": deterministic,
                          "allow_tf32": allow_tf32})


def _cudnn_available():
    return version() is not None


_cudnn_available.__name__ = "is_available"
cudnn = _module("cudnn", {"enabled": True, "benchmark": False, "benchmark_limit": 10, "deterministic": False, "allow_tf32": True},
                [version, is_acceptable, flags, _cudnn_available])


def is_macos13_or_newer(minor=0):
    return False


mps = _module("mps", {}, [is_macos13_or_newer], is_available=_no, is_built=_no)


def get_cpu_capability():
    return getattr(_C, "cpu_capability", lambda: "DEFAULT")()


cpu = _module("cpu", {}, [get_cpu_capability])
mkl = _module("mkl", {}, is_available=_no)
mkldnn = _module("mkldnn", {"enabled": True, "deterministic": False, "allow_tf32": True}, is_available=_no)
openmp = _module("openmp", {}, is_available=_no)
quantized = _module("quantized", {"engine": "none"}, supported_engines=[])
opt_einsum = _module("opt_einsum", {"enabled": False, "strategy": None}, is_available=_no)
nnpack = _module("nnpack", {}, is_available=_no)
xeon = _module("xeon", {})
cusparselt = _module("cusparselt", {}, is_available=_no)
del is_built, is_available
