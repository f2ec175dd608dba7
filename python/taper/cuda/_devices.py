"""Which GPUs there are, and which is meant."""
from .. import _C


def is_available():
    return _C.cuda_device_count() > 0


def device_count():
    return _C.cuda_device_count()


def _need():
    """torch's words when there is no GPU, with the reason that was found."""
    if not _C.cuda_device_count():
        raise RuntimeError("Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver from "
                           "http://www.nvidia.com/Download/index.aspx (%s)" % _C.cuda_why_not())


def init():
    _need()


def is_initialized():
    return _C.cuda_device_count() > 0


_lazy_init = init


def _index(device=None, optional=True):
    """The number of a GPU from what scripts pass: None, int, "cuda:1", torch.device."""
    if device is None:
        return _C.cuda_current_device()
    if isinstance(device, int):
        return _C.cuda_current_device() if device < 0 else device
    if isinstance(device, str):
        device = _C.device(device)
    if isinstance(device, _C.device):
        if device.type != "cuda":
            raise ValueError("Expected a cuda device, but got: %s" % device)
        return _C.cuda_current_device() if device.index is None else device.index
    inner = getattr(device, "idx", None)  # the context manager torch.cuda.device
    if inner is not None:
        return inner
    raise ValueError("Expected a torch.device with a specified index or an integer, but got:%s" % (device,))


def current_device():
    _need()
    return _C.cuda_current_device()


def set_device(device):
    if isinstance(device, int) and device < 0:
        return
    _need()
    _C.cuda_set_device(_index(device))


def synchronize(device=None):
    _need()
    _C.cuda_synchronize(_index(device))


class device:
    """Context in which another GPU is the current one."""

    def __init__(self, device):
        self.idx = -1 if device is None else _index(device)
        self.prev_idx = -1

    def __enter__(self):
        if self.idx >= 0:
            self.prev_idx = _C.cuda_current_device()
            _C.cuda_set_device(self.idx)

    def __exit__(self, *exc):
        if self.idx >= 0:
            _C.cuda_set_device(self.prev_idx)
        return False


class device_of(device):
    def __init__(self, obj):
        super().__init__(obj.device if getattr(obj, "is_cuda", False) else None)


class _CudaDeviceProperties:
    """What the driver says about a GPU."""

    def __init__(self, facts):
        self.__dict__.update(facts)

    def __repr__(self):
        return ("_CudaDeviceProperties(name='%s', major=%d, minor=%d, total_memory=%dMB, multi_processor_count=%d, uuid=%s, L2_cache_size=%dMB)"
                % (self.name, self.major, self.minor, self.total_memory >> 20, self.multi_processor_count, self.uuid,
                   self.L2_cache_size >> 20))


def get_device_properties(device=None):
    _need()
    index = _index(device)
    if index < 0 or index >= device_count():
        raise AssertionError("Invalid device id")
    f = _C.cuda_get_properties(index)
    return _CudaDeviceProperties({
        "name": f["name"], "major": f["major"], "minor": f["minor"], "total_memory": f["total_memory"],
        "multi_processor_count": f["multiprocessors"], "max_threads_per_multi_processor": f["max_threads_per_multiprocessor"],
        "warp_size": f["warp_size"], "L2_cache_size": f["l2_bytes"], "shared_memory_per_block": f["shared_per_block"],
        "shared_memory_per_block_optin": f["shared_per_block_optin"], "shared_memory_per_multiprocessor": f["shared_per_multiprocessor"],
        "regs_per_multiprocessor": f["registers_per_multiprocessor"], "is_integrated": 0, "is_multi_gpu_board": 0, "gcnArchName": f["name"],
        "uuid": f["uuid"], "pci_bus_id": f["pci_bus"], "pci_device_id": f["pci_device"], "pci_domain_id": f["pci_domain"],
        "clock_rate": f["clock_khz"], "memory_clock_rate": f["memory_clock_khz"], "memory_bus_width": f["memory_bus_bits"]})


def get_device_name(device=None):
    return get_device_properties(device).name


def get_device_capability(device=None):
    p = get_device_properties(device)
    return p.major, p.minor


def clock_rate(device=None):
    return get_device_properties(device).clock_rate // 1000


def is_bf16_supported(including_emulation=True):
    return is_available() and (including_emulation or get_device_capability()[0] >= 8)


def is_tf32_supported():
    return is_available() and get_device_capability()[0] >= 8


def get_arch_list():
    return list(getattr(_C, "cuda_architectures", ())) if is_available() else []


def get_gencode_flags():
    return " ".join("-gencode compute=compute_%s,code=%s" % (a[3:], a) for a in get_arch_list())


def can_device_access_peer(device, peer_device):
    _need()
    return _index(device) != _index(peer_device)
