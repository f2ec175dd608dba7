"""Old place of GradScaler."""
from ...amp.grad_scaler import OptState
from . import GradScaler
