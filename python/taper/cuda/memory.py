"""What the caching allocator of a GPU holds."""
from .. import _C
from ._devices import _index, _need, device_count


def _stats(device):
    return _C.cuda_memory_stats(_index(device)) if device_count() else dict.fromkeys(
        ("allocated", "peak_allocated", "reserved", "peak_reserved", "live_blocks", "total_allocations", "out_of_memory_count"), 0)


def memory_allocated(device=None):
    return _stats(device)["allocated"]


def max_memory_allocated(device=None):
    return _stats(device)["peak_allocated"]


def memory_reserved(device=None):
    return _stats(device)["reserved"]


def max_memory_reserved(device=None):
    return _stats(device)["peak_reserved"]


memory_cached, max_memory_cached = memory_reserved, max_memory_reserved


def memory_stats(device=None):
    s = _stats(device)
    return {"allocated_bytes.all.current": s["allocated"], "allocated_bytes.all.peak": s["peak_allocated"],
            "reserved_bytes.all.current": s["reserved"], "reserved_bytes.all.peak": s["peak_reserved"],
            "active_bytes.all.current": s["allocated"], "active_bytes.all.peak": s["peak_allocated"],
            "allocation.all.current": s["live_blocks"], "allocation.all.allocated": s["total_allocations"],
            "num_ooms": s["out_of_memory_count"], "num_alloc_retries": 0}


def reset_peak_memory_stats(device=None):
    if device_count():
        _C.cuda_reset_peak(_index(device))


reset_max_memory_allocated = reset_max_memory_cached = reset_accumulated_memory_stats = reset_peak_memory_stats


def empty_cache():
    if device_count():
        _C.cuda_empty_cache()


def mem_get_info(device=None):
    _need()
    return _C.cuda_mem_info(_index(device))


def memory_summary(device=None, abbreviated=False):
    _need()
    return _C.cuda_memory_table(10 if abbreviated else 40, _index(device))


def memory_snapshot():
    raise NotImplementedError("torch.cuda.memory_snapshot: see torch.cuda.memory_summary()")


_fractions = {}


def set_per_process_memory_fraction(fraction, device=None):
    if not 0 <= fraction <= 1:
        raise ValueError("Invalid fraction value: %s. Allowed range: 0~1" % fraction)
    index = _index(device)
    _fractions[index] = fraction
    _C.cuda_set_memory_limit(int(mem_get_info(index)[1] * fraction), index)


def get_per_process_memory_fraction(device=None):
    return _fractions.get(_index(device), 1.0)


def caching_allocator_alloc(size, device=None, stream=None):
    raise NotImplementedError("torch.cuda.caching_allocator_alloc: make a tensor instead")


def _record_memory_history(*args, **kwargs):
    raise NotImplementedError("torch.cuda.memory._record_memory_history: see torch.cuda.memory_summary()")
