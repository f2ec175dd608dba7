"""NCCL, when it can be found."""
from .. import _C


def version():
    found = getattr(_C, "nccl_version", lambda: None)()
    if found is None:
        raise RuntimeError("torch.cuda.nccl.version: NCCL was not found")
    return found


def is_available(tensors=()):
    return getattr(_C, "nccl_version", lambda: None)() is not None
