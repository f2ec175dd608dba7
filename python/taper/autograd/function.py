"""Custom differentiable functions. The node is in the extension (record_function); here are the class and its context."""
from functools import wraps

from .. import _C

__all__ = ["Function", "FunctionCtx", "InplaceFunction", "NestedIOFunction", "once_differentiable"]


class _FunctionMeta(type):
    """torch gives each Function a class for its node; the name is what users see of it."""

    def __init__(cls, name, bases, attrs):
        super().__init__(name, bases, attrs)
        cls._backward_name = name + "Backward"


class FunctionCtx:
    _saved = ()
    _non_differentiable = ()
    _dirty = ()
    _materialize = True
    needs_input_grad = ()

    def save_for_backward(self, *tensors):
        self._to_save = tensors

    def save_for_forward(self, *tensors):
        self._to_save_forward = tensors

    def mark_dirty(self, *args):
        self._dirty = args

    def mark_non_differentiable(self, *args):
        self._non_differentiable = args

    def set_materialize_grads(self, value):
        self._materialize = value

    @property
    def saved_tensors(self):
        if self._saved is None:
            raise RuntimeError("Trying to backward through the graph a second time (or directly access saved tensors after they have already been "
                               "freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify "
                               "retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors "
                               "after calling backward.")
        result = []
        for kind, tensor, version in self._saved:
            if tensor is not None and kind != "output" and tensor._version != version:
                raise RuntimeError("one of the variables needed for gradient computation has been modified by an inplace operation: [torch.%s %s] is "
                                   "at version %d; expected version %d instead. Hint: enable anomaly detection to find the operation that failed "
                                   "to compute its gradient, with torch.autograd.set_detect_anomaly(True)."
                                   % (tensor.type()[6:], list(tensor.shape), tensor._version, version))
            result.append(tensor)
        return tuple(result)

    saved_variables = saved_tensors


class Function(FunctionCtx, metaclass=_FunctionMeta):
    @staticmethod
    def forward(*args, **kwargs):
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx, inputs, output):
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx, *grad_outputs):
        raise NotImplementedError("You must implement either the backward or vjp method for your custom autograd.Function to use it with backward mode AD.")

    vjp = backward

    def __call__(self, *args, **kwargs):
        raise RuntimeError("Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd function with static "
                           "forward method. (Example: https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)")

    @classmethod
    def apply(cls, *args, **kwargs):
        Tensor = _C.Tensor
        ctx = cls()
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        recording = _C.is_grad_enabled() and any(ctx.needs_input_grad)
        split = cls.setup_context is not Function.setup_context
        previous = _C.set_grad_enabled(False)
        try:
            result = cls.forward(*args, **kwargs) if split else cls.forward(ctx, *args, **kwargs)
            if split:
                cls.setup_context(ctx, args, result)
        finally:
            _C.set_grad_enabled(previous)
        single = not isinstance(result, tuple)
        outputs = (result,) if single else result
        if recording:
            outputs = cls._record(ctx, args, outputs)
        else:
            ctx._to_save = ()
        return outputs[0] if single else tuple(outputs)

    @classmethod
    def _record(cls, ctx, args, outputs):
        Tensor = _C.Tensor
        dirty = {id(t) for t in ctx._dirty}
        plain = {id(t) for t in ctx._non_differentiable}
        given = {id(a) for a in args if isinstance(a, Tensor)}
        fresh = []
        for o in outputs:
            # An input handed back as it is becomes a view of itself, so that the input keeps its own history.
            fresh.append(o.detach() if isinstance(o, Tensor) and id(o) in given and id(o) not in dirty else o)
        positions = tuple(i for i, a in enumerate(args) if isinstance(a, Tensor))
        targets = tuple(o if isinstance(o, Tensor) and id(o) not in plain and o.is_floating_point() else None for o in fresh)
        shapes = tuple(None if o is None else (o.shape, o.dtype, o.device) for o in targets)
        ctx._count = len(args)
        inputs = tuple(args[i] for i in positions)
        saved = getattr(ctx, "_to_save", ())
        ctx._to_save = ()
        replaced = {id(o): f for o, f in zip(outputs, fresh)}
        marks = []
        for t in saved:
            if t is not None and id(t) in replaced:
                marks.append(("output", replaced[id(t)], 0))
            else:
                marks.append(("input", t, None if t is None else t._version))
        _C.record_function(ctx, cls._backward_name, inputs, targets, positions, shapes)
        # A saved result would own the node that owns it: its values are kept without the history.
        ctx._saved = tuple((k, t.detach() if k == "output" else t, v) for k, t, v in marks)
        return fresh

    def _apply_backward(self, grads, positions, shapes):
        from .._C import ops

        if self._materialize:
            grads = tuple(ops.zeros(s[0], dtype=s[1], device=s[2]) if g is None and s is not None else g for g, s in zip(grads, shapes))
        cls = type(self)
        backward = cls.backward if cls.backward is not Function.backward else cls.vjp
        result = backward(self, *grads)
        if not isinstance(result, tuple):
            result = (result,)
        if len(result) < self._count or any(r is not None for r in result[self._count:]):
            raise RuntimeError("function %s returned an incorrect number of gradients (expected %d, got %d)" % (self._backward_name, self._count, len(result)))
        return tuple(result[i] if self.needs_input_grad[i] else None for i in positions)

    def _drop_saved(self):
        self._saved = None


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
