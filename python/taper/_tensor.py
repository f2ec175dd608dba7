"""torch._tensor: where pickles look for Tensor."""
from ._C import Tensor
from ._utils import _rebuild_from_type_v2
