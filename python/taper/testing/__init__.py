"""torch.testing."""
from .comparison import assert_allclose, assert_close, make_tensor

__all__ = ["assert_close", "assert_allclose", "make_tensor"]
