"""Adam; also the body of AdamW."""
from .. import _C
from .optimizer import (Optimizer, _check, _check_betas, _new_step, _number, _refuse_differentiable, _use_grad_for_differentiable)

__all__ = ["Adam"]


class Adam(Optimizer):
    _fused = staticmethod(_C.fused_adam_)

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False, *, foreach=None, maximize=False,
                 capturable=False, differentiable=False, fused=None):
        _check("learning rate", lr)
        _check("epsilon value", eps)
        _check_betas(betas)
        _check("weight_decay value", weight_decay)
        _refuse_differentiable(differentiable, type(self).__name__)
        if fused and foreach:
            raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, maximize=maximize,
                                      foreach=foreach, capturable=capturable, differentiable=differentiable, fused=fused))
        if fused:
            self._step_supports_amp_scaling = True

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            for key, value in (("amsgrad", False), ("maximize", False), ("foreach", None), ("capturable", False),
                               ("differentiable", False)):
                group.setdefault(key, value)
            group.setdefault("fused", None)
            for p in group["params"]:
                own = self.state.get(p, {})
                if own and not isinstance(own["step"], _C.Tensor):
                    step = _new_step(p, group)
                    own["step"] = step.fill_(float(own["step"]))

    def _init_state(self, p, group):
        state = self.state[p]
        state["step"] = _new_step(p, group)
        state["exp_avg"] = _C.ops.zeros_like(p)
        state["exp_avg_sq"] = _C.ops.zeros_like(p)
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = _C.ops.zeros_like(p)
        return state

    @_use_grad_for_differentiable
    def step(self):
        scale, inf = getattr(self, "grad_scale", None), getattr(self, "found_inf", None)
        states = self.state
        for group in self.param_groups:
            amsgrad = group["amsgrad"]
            params, grads, averages, squares, maxima, steps = [], [], [], [], [], []
            for p in group["params"]:
                grad = p.grad
                if grad is None:
                    continue
                state = states[p] or self._init_state(p, group)
                params.append(p)
                grads.append(grad)
                averages.append(state["exp_avg"])
                squares.append(state["exp_avg_sq"])
                if amsgrad:
                    maxima.append(state["max_exp_avg_sq"])
                steps.append(state["step"])
            if params:
                beta1, beta2 = group["betas"]
                # One pass over all parameters; the steps are counted there too.
                self._fused(params, grads, averages, squares, maxima, steps, lr=_number(group["lr"]), beta1=_number(beta1),
                            beta2=_number(beta2), weight_decay=group["weight_decay"], eps=group["eps"], amsgrad=amsgrad,
                            maximize=group["maximize"], grad_scale=scale, found_inf=inf)
