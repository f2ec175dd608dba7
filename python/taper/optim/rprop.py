"""Resilient backpropagation."""
from ._each import EachParameter, ops
from .optimizer import _check, _number

__all__ = ["Rprop"]


class Rprop(EachParameter):
    def __init__(self, params, lr=1e-2, etas=(0.5, 1.2), step_sizes=(1e-6, 50), *, capturable=False, foreach=None, maximize=False,
                 differentiable=False):
        _check("learning rate", lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError("Invalid eta values: %s, %s" % tuple(etas))
        super().__init__(params, dict(lr=lr, etas=etas, step_sizes=step_sizes, foreach=foreach, maximize=maximize,
                                      differentiable=differentiable, capturable=capturable))

    def _start(self, p, group):
        return {"prev": ops.zeros_like(p), "step_size": ops.full_like(p, _number(group["lr"]))}

    def _update(self, p, grad, state, group, step):
        down, up = group["etas"]
        low, high = group["step_sizes"]
        agree = (grad * state["prev"]).sign()
        factor = ops.where(agree > 0, up, ops.where(agree < 0, down, 1.0)).to(p.dtype)
        state["step_size"].mul_(factor).clamp_(low, high)
        grad = grad.masked_fill(agree < 0, 0)
        p.sub_(grad.sign() * state["step_size"])
        state["prev"].copy_(grad)
