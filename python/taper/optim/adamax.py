"""Adamax."""
from ._each import EachParameter, ops
from .optimizer import _check, _check_betas, _number

__all__ = ["Adamax"]


class Adamax(EachParameter):
    def __init__(self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, foreach=None, *, maximize=False,
                 differentiable=False, capturable=False):
        _check("learning rate", lr)
        _check("epsilon value", eps)
        _check_betas(betas)
        _check("weight_decay value", weight_decay)
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, foreach=foreach, maximize=maximize,
                                      differentiable=differentiable, capturable=capturable))

    def _start(self, p, group):
        return {"exp_avg": ops.zeros_like(p), "exp_inf": ops.zeros_like(p)}

    def _update(self, p, grad, state, group, step):
        beta1, beta2 = group["betas"]
        average, inf = state["exp_avg"], state["exp_inf"]
        average.add_(grad - average, alpha=1 - beta1)
        inf.copy_(ops.maximum(inf.mul_(beta2), grad.abs().add_(group["eps"])))
        p.addcdiv_(average, inf, value=-_number(group["lr"]) / (1 - beta1**step))
