"""Adam with decoupled weight decay."""
from .. import _C
from .adam import Adam

__all__ = ["AdamW"]


class AdamW(Adam):
    _fused = staticmethod(_C.fused_adamw_)

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, amsgrad=False, *, maximize=False, foreach=None,
                 capturable=False, differentiable=False, fused=None):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize, capturable=capturable,
                         differentiable=differentiable, fused=fused)
