"""Custom differentiable functions. The node itself is in the extension; here are the names and decorators around it."""
from functools import wraps

from .. import _C

Function = _C.Function
FunctionCtx = getattr(_C, "FunctionCtx", _C.Function)

__all__ = ["Function", "FunctionCtx", "InplaceFunction", "NestedIOFunction", "once_differentiable"]


class InplaceFunction(Function):
    """Kept for old code: a Function with an `inplace` flag."""

    def __init__(self, inplace=False):
        super().__init__()
        self.inplace = inplace


NestedIOFunction = Function


def once_differentiable(fn):
    """For a backward that must not be differentiated again: its results fail when they are."""

    @wraps(fn)
    def wrapper(ctx, *grads):
        previous = _C.set_grad_enabled(False)
        try:
            outputs = fn(ctx, *grads)
        finally:
            _C.set_grad_enabled(previous)
        if not _C.is_grad_enabled() or not any(isinstance(g, _C.Tensor) and g.requires_grad for g in grads):
            return outputs
        single = not isinstance(outputs, tuple)
        sources = [g for g in grads if isinstance(g, _C.Tensor) and g.requires_grad]
        marked = tuple(_OnlyOnce.apply(o.detach(), *sources) if isinstance(o, _C.Tensor) else o
                       for o in ((outputs,) if single else outputs))
        return marked[0] if single else marked

    return wrapper


class _OnlyOnce(Function):
    @staticmethod
    def forward(ctx, value, *sources):
        return value.view_as(value)

    @staticmethod
    def backward(ctx, *grads):
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")
