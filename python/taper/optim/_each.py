"""Optimisers that step one parameter after the other with ordinary operators: the rarer ones need no kernel of their own."""
from .. import _C
from .optimizer import Optimizer, _new_step, _use_grad_for_differentiable

ops = _C.ops


class EachParameter(Optimizer):
    """Subclasses give _start(p, group) -> dict of new state and _update(p, grad, state, group, step)."""

    _decay_in_gradient = True

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            for key in ("maximize", "differentiable", "capturable"):
                if key in self.defaults:
                    group.setdefault(key, False)
            group.setdefault("foreach", None)
            for p in group["params"]:
                own = self.state.get(p, {})
                if own and not isinstance(own["step"], _C.Tensor):
                    own["step"] = _new_step(p, group).fill_(float(own["step"]))

    @_use_grad_for_differentiable
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                grad = p.grad
                if grad is None:
                    continue
                state = self.state[p]
                if "step" not in state:
                    state["step"] = _new_step(p, group)
                    state.update(self._start(p, group))
                state["step"] += 1
                if group["maximize"]:
                    grad = -grad
                if self._decay_in_gradient and group.get("weight_decay", 0) != 0:
                    grad = grad.add(p, alpha=group["weight_decay"])
                self._update(p, grad, state, group, state["step"].item())
