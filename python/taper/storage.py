"""torch.storage: the bytes behind tensors."""
from . import _C

UntypedStorage = getattr(_C, "UntypedStorage", None)
TypedStorage = UntypedStorage
