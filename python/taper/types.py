"""torch.types: names for annotations."""
from ._C import Tensor, device, dtype

Device = object
Number = (int, float, bool)
_int, _float, _bool, _dtype, _device = int, float, bool, dtype, device
_size = (list, tuple)
Storage = object
