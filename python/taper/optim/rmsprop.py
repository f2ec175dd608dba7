"""RMSprop."""
from .. import _C
from .optimizer import Optimizer, _check, _new_step, _number, _refuse_differentiable, _use_grad_for_differentiable

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    def __init__(self, params, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False, capturable=False, foreach=None,
                 maximize=False, differentiable=False):
        _check("learning rate", lr)
        _check("epsilon value", eps)
        _check("momentum value", momentum)
        _check("weight_decay value", weight_decay)
        _check("alpha value", alpha)
        _refuse_differentiable(differentiable, "RMSprop")
        super().__init__(params, dict(lr=lr, momentum=momentum, alpha=alpha, eps=eps, centered=centered, weight_decay=weight_decay,
                                      capturable=capturable, foreach=foreach, maximize=maximize, differentiable=differentiable))

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            for key, value in (("momentum", 0), ("centered", False), ("foreach", None), ("maximize", False), ("differentiable", False),
                               ("capturable", False)):
                group.setdefault(key, value)
            for p in group["params"]:
                own = self.state.get(p, {})
                if own and not isinstance(own["step"], _C.Tensor):
                    own["step"] = _new_step(p, group).fill_(float(own["step"]))

    def _init_state(self, p, group):
        state = self.state[p]
        state["step"] = _new_step(p, group)
        state["square_avg"] = _C.ops.zeros_like(p)
        if group["momentum"] > 0:
            state["momentum_buffer"] = _C.ops.zeros_like(p)
        if group["centered"]:
            state["grad_avg"] = _C.ops.zeros_like(p)
        return state

    @_use_grad_for_differentiable
    def step(self):
        for group in self.param_groups:
            params, grads, squares, buffers, averages, steps = [], [], [], [], [], []
            for p in group["params"]:
                grad = p.grad
                if grad is None:
                    continue
                state = self.state[p] or self._init_state(p, group)
                params.append(p)
                grads.append(grad)
                squares.append(state["square_avg"])
                if group["momentum"] > 0:
                    buffers.append(state["momentum_buffer"])
                if group["centered"]:
                    averages.append(state["grad_avg"])
                steps.append(state["step"])
            if params:
                _C.fused_rmsprop_(params, grads, squares, buffers, averages, steps, lr=_number(group["lr"]), alpha=group["alpha"],
                                  eps=group["eps"], weight_decay=group["weight_decay"], momentum=group["momentum"],
                                  centered=group["centered"], maximize=group["maximize"])
