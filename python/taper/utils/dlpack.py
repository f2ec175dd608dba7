"""Exchange of tensors with other libraries."""
from .. import _C

from_dlpack = _C.ops.from_dlpack if hasattr(_C.ops, "from_dlpack") else _C.from_dlpack


def to_dlpack(tensor):
    return tensor.__dlpack__()
