"""Averaged stochastic gradient descent."""
from .. import _C
from ._each import EachParameter, ops
from .optimizer import _check, _number

__all__ = ["ASGD"]


class ASGD(EachParameter):
    def __init__(self, params, lr=1e-2, lambd=1e-4, alpha=0.75, t0=1e6, weight_decay=0, foreach=None, maximize=False,
                 differentiable=False, capturable=False):
        _check("learning rate", lr)
        _check("weight_decay value", weight_decay)
        super().__init__(params, dict(lr=lr, lambd=lambd, alpha=alpha, t0=t0, weight_decay=weight_decay, foreach=foreach,
                                      maximize=maximize, differentiable=differentiable, capturable=capturable))

    def _start(self, p, group):
        return {"eta": ops.full((), _number(group["lr"]), dtype=_C.float32), "mu": ops.ones((), dtype=_C.float32),
                "ax": ops.zeros_like(p)}

    def _update(self, p, grad, state, group, step):
        eta, mu, lambd = state["eta"].item(), state["mu"].item(), group["lambd"]
        p.mul_(1 - lambd * eta)
        p.add_(grad, alpha=-eta)
        if mu != 1:
            state["ax"].add_((p - state["ax"]) * mu)
        else:
            state["ax"].copy_(p)
        state["eta"].fill_(_number(group["lr"]) / ((1 + lambd * _number(group["lr"]) * step) ** group["alpha"]))
        state["mu"].fill_(1 / max(1, step - group["t0"]))
