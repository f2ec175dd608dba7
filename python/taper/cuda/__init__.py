"""torch.cuda: devices, streams, memory."""
from .. import _C
from ._devices import (_CudaDeviceProperties, can_device_access_peer, clock_rate, current_device, device, device_count, device_of,
                     get_arch_list, get_device_capability, get_device_name, get_device_properties, get_gencode_flags, init,
                     is_available, is_bf16_supported, is_initialized, is_tf32_supported, set_device, synchronize)
from .memory import (caching_allocator_alloc, empty_cache, get_per_process_memory_fraction, max_memory_allocated, max_memory_cached,
                     max_memory_reserved, mem_get_info, memory_allocated, memory_cached, memory_reserved, memory_snapshot, memory_stats,
                     memory_summary, reset_accumulated_memory_stats, reset_max_memory_allocated, reset_max_memory_cached,
                     reset_peak_memory_stats, set_per_process_memory_fraction)
from .random import (get_rng_state, get_rng_state_all, initial_seed, manual_seed, manual_seed_all, seed, seed_all, set_rng_state,
                     set_rng_state_all)
from .streams import Event, ExternalStream, Stream, StreamContext, current_stream, default_stream, set_stream, stream
from .graphs import CUDAGraph, graph, graph_pool_handle, is_current_stream_capturing, make_graphed_callables

OutOfMemoryError = getattr(_C, "OutOfMemoryError", RuntimeError)
has_magma = False
has_half = True


def ipc_collect():
    pass


def set_sync_debug_mode(debug_mode):
    pass


def get_sync_debug_mode():
    return 0


def current_blas_handle():
    raise NotImplementedError("torch.cuda.current_blas_handle: taper keeps its cuBLAS handles to itself")


def __getattr__(name):
    if name == "default_generators":
        from .random import _generators

        return _generators()
    if name.endswith("Tensor"):
        from ..tensortypes import CUDA

        if name in CUDA:
            return CUDA[name]
    if name in ("amp", "nvtx", "nccl", "comm", "profiler", "memory", "random", "streams", "graphs"):
        from importlib import import_module

        return import_module("." + name, __package__)
    if name in ("utilization", "temperature", "power_draw", "clock_rate", "memory_usage"):
        from .._absent import Absent

        raise Absent("torch.cuda.%s: use `taper top` or nvidia-smi" % name)
    raise AttributeError("module 'torch.cuda' has no attribute '%s'" % name)
