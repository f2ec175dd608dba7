"""Stochastic gradient descent, with momentum."""
from .. import _C
from .optimizer import Optimizer, _check, _number, _refuse_differentiable, _use_grad_for_differentiable

__all__ = ["SGD"]

_fused = _C.fused_sgd_


class SGD(Optimizer):
    def __init__(self, params, lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=False, *, maximize=False, foreach=None,
                 differentiable=False, fused=None):
        _check("learning rate", lr)
        _check("momentum value", momentum)
        _check("weight_decay value", weight_decay)
        _refuse_differentiable(differentiable, "SGD")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(params, dict(lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov,
                                      maximize=maximize, foreach=foreach, differentiable=differentiable, fused=fused))
        if fused:
            self._step_supports_amp_scaling = True

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            for key, value in (("nesterov", False), ("maximize", False), ("foreach", None), ("differentiable", False), ("fused", False)):
                group.setdefault(key, value)

    @_use_grad_for_differentiable
    def step(self):
        scale, inf = getattr(self, "grad_scale", None), getattr(self, "found_inf", None)
        for group in self.param_groups:
            momentum = group["momentum"]
            params, grads, buffers = [], [], []
            new_params, new_grads = [], []
            state = self.state
            for p in group["params"]:
                grad = p.grad
                if grad is None:
                    continue
                if momentum != 0:
                    buffer = state[p].get("momentum_buffer")
                    if buffer is None:
                        new_params.append(p)
                        new_grads.append(grad)
                        continue
                    buffers.append(buffer)
                params.append(p)
                grads.append(grad)
            options = dict(weight_decay=group["weight_decay"], momentum=momentum, lr=_number(group["lr"]),
                           dampening=group["dampening"], nesterov=group["nesterov"], maximize=group["maximize"], grad_scale=scale,
                           found_inf=inf)
            if params:
                _fused(params, grads, buffers, is_first_step=False, **options)
            if new_params:  # their buffers start as the gradient itself
                made = [_C.ops.zeros_like(p) for p in new_params]
                _fused(new_params, new_grads, made, is_first_step=True, **options)
                for p, buffer in zip(new_params, made):
                    state[p]["momentum_buffer"] = buffer
