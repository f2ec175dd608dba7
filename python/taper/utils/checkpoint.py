"""Trading computation for memory: a piece of the forward is computed again in the backward."""
from .. import _C
from ..autograd.function import Function

__all__ = ["checkpoint", "checkpoint_sequential", "set_checkpoint_debug_enabled", "noop_context_fn", "DefaultDeviceType"]


def noop_context_fn():
    from contextlib import nullcontext

    return nullcontext(), nullcontext()


class DefaultDeviceType:
    @staticmethod
    def set_device_type(device="cuda"):
        pass

    @staticmethod
    def get_device_type():
        return "cuda"


class set_checkpoint_debug_enabled:
    def __init__(self, enabled):
        pass

    def __enter__(self):
        pass

    def __exit__(self, *exc):
        return False


class _Random:
    """The generators' states, to compute the same dropout again."""

    def __init__(self):
        from .. import random

        self.cpu = random.get_rng_state()
        self.gpu = None
        if _C.cuda_device_count():
            from ..cuda import get_rng_state

            self.index = _C.cuda_current_device()
            self.gpu = get_rng_state(self.index)

    def restore(self):
        from .. import random

        random.set_rng_state(self.cpu)
        if self.gpu is not None:
            from ..cuda import set_rng_state

            set_rng_state(self.gpu, self.index)


def _autocast_now():
    return [(d, _C.is_autocast_enabled(d), _C.get_autocast_dtype(d)) for d in ("cpu", "cuda")], _C.is_autocast_cache_enabled()


class _AutocastAs:
    def __init__(self, state):
        self.state = state

    def _set(self, state):
        for device, enabled, dtype in state[0]:
            _C.set_autocast_enabled(device, enabled)
            _C.set_autocast_dtype(device, dtype)
        _C.set_autocast_cache_enabled(state[1])

    def __enter__(self):
        self.before = _autocast_now()
        self._set(self.state)

    def __exit__(self, *exc):
        _C.clear_autocast_cache()
        self._set(self.before)


class _Checkpoint(Function):
    """Inputs: a tensor that carries the need for a gradient (or None), then the function's own."""

    @staticmethod
    def forward(ctx, carrier, function, preserve, contexts, kwargs, *args):
        ctx.function, ctx.kwargs, ctx.contexts = function, kwargs, contexts
        ctx.random = _Random() if preserve else None
        ctx.autocast = _autocast_now()
        ctx.positions = [i for i, a in enumerate(args) if isinstance(a, _C.Tensor)]
        ctx.others = [None if isinstance(a, _C.Tensor) else a for a in args]
        ctx.save_for_backward(*[args[i] for i in ctx.positions])
        with contexts[0]:
            return function(*args, **kwargs)

    @staticmethod
    def backward(ctx, *grads):
        args = list(ctx.others)
        for i, t in zip(ctx.positions, ctx.saved_tensors):
            args[i] = t.detach().requires_grad_(t.requires_grad)
        now = _Random() if ctx.random is not None else None
        if ctx.random is not None:
            ctx.random.restore()
        previous = _C.set_grad_enabled(True)
        try:
            with _AutocastAs(ctx.autocast), ctx.contexts[1]:
                outputs = ctx.function(*args, **ctx.kwargs)
        finally:
            _C.set_grad_enabled(previous)
            if now is not None:
                now.restore()
        outputs = (outputs,) if isinstance(outputs, _C.Tensor) else outputs
        pairs = [(o, g) for o, g in zip(outputs, grads) if isinstance(o, _C.Tensor) and o.requires_grad and g is not None]
        if not pairs:
            raise RuntimeError("none of output has requires_grad=True, this checkpoint() is not necessary")
        _C.autograd_backward(tuple(o for o, _ in pairs), tuple(g for _, g in pairs), False, False, ())
        return (None, None, None, None, None, *[a.grad if isinstance(a, _C.Tensor) else None for a in args])


def checkpoint(function, *args, use_reentrant=None, context_fn=noop_context_fn, determinism_check="default", debug=False, **kwargs):
    """function(*args), keeping only its inputs until the backward."""
    if use_reentrant is None:
        import warnings

        warnings.warn("torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. In version 2.5 we will raise an "
                      "exception if use_reentrant is not passed. use_reentrant=False is recommended, but if you need to preserve the current "
                      "default behavior, you can pass use_reentrant=True. Refer to docs for more details on the differences between the two "
                      "variants.", stacklevel=2)
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if use_reentrant and kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    if not _C.is_grad_enabled():
        return function(*args, **kwargs)
    # Parameters inside need gradients even where no argument does: a tensor of no elements asks for the backward.
    carrier = None if use_reentrant else _C.ops.empty(0).requires_grad_()
    if use_reentrant and not any(isinstance(a, _C.Tensor) and a.requires_grad for a in args):
        import warnings

        warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2)
    contexts = (noop_context_fn if use_reentrant else context_fn)()
    return _Checkpoint.apply(carrier, function, preserve, contexts, kwargs, *args)


def checkpoint_sequential(functions, segments, input, use_reentrant=None, **kwargs):
    functions = list(functions.children()) if hasattr(functions, "children") else list(functions)

    def run(start, end):
        def forward(x):
            for j in range(start, end + 1):
                x = functions[j](x)
            return x

        return forward

    size, end = len(functions) // segments, -1
    for start in range(0, size * (segments - 1), size):
        end = start + size - 1
        input = checkpoint(run(start, end), input, use_reentrant=use_reentrant, **kwargs)
    return run(end + 1, len(functions) - 1)(input)
