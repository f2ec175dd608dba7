"""torch.autograd: backward, grad, custom functions, switches and checks."""
from .. import _C
from .function import Function
from .grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled, set_multithreading_enabled
from .variable import Variable

__all__ = ["Variable", "Function", "backward", "grad", "grad_mode", "enable_grad", "no_grad", "inference_mode", "set_grad_enabled"]


def _tuple(x):
    return (x,) if isinstance(x, _C.Tensor) else tuple(x)


def _check_shapes(tensors, grads):
    for t, g in zip(tensors, grads):
        if g is None:
            if t.requires_grad and t.numel() != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
        elif isinstance(g, _C.Tensor):
            if g.shape != t.shape:
                raise RuntimeError("Mismatch in shape: grad_output[0] has a shape of %s and output[0] has a shape of %s."
                                   % (g.shape, t.shape))
        else:
            raise TypeError("gradients can be either Tensors or None, but got " + type(g).__name__)


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, grad_variables=None, inputs=None):
    """Adds the gradients of `tensors` to the .grad of the leaves (of `inputs` only, when given)."""
    if grad_variables is not None:
        import warnings

        warnings.warn("`grad_variables` is deprecated. Use `grad_tensors` instead.", FutureWarning, stacklevel=2)
        if grad_tensors is not None:
            raise RuntimeError("`grad_tensors` and `grad_variables` (deprecated) arguments both passed to `backward()`. Please only "
                               "use `grad_tensors`.")
        grad_tensors = grad_variables
    tensors = _tuple(tensors)
    grads = (None,) * len(tensors) if grad_tensors is None else _tuple(grad_tensors)
    if inputs is not None:
        inputs = _tuple(inputs)
        if not inputs:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    _check_shapes(tensors, grads)
    _C.autograd_backward(tensors, grads, create_graph if retain_graph is None else retain_graph, create_graph, inputs or ())


def grad(outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False, only_inputs=True, allow_unused=None,
         is_grads_batched=False, materialize_grads=False):
    """The gradients of `outputs` with respect to `inputs`, as a tuple; .grad is left alone."""
    if materialize_grads and allow_unused is False:
        raise ValueError("Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False.")
    if is_grads_batched:
        raise NotImplementedError("torch.autograd.grad(is_grads_batched=True) needs vmap, which taper does not have: call grad once "
                                  "for each row of grad_outputs")
    if not only_inputs:
        import warnings

        warnings.warn("only_inputs argument is deprecated and is ignored now (defaults to True). To accumulate gradient for other "
                      "parts of the graph, please use torch.autograd.backward.", FutureWarning, stacklevel=2)
    outputs, inputs = _tuple(outputs), _tuple(inputs)
    grads = (None,) * len(outputs) if grad_outputs is None else _tuple(grad_outputs)
    _check_shapes(outputs, grads)
    result = _C.autograd_grad(outputs, grads, inputs, create_graph if retain_graph is None else retain_graph, create_graph,
                              bool(allow_unused) or materialize_grads)
    if materialize_grads:
        result = tuple(_C.ops.zeros_like(i, requires_grad=True) if r is None else r for r, i in zip(result, inputs))
    return result


_PARTS = {
    "gradcheck": ".gradcheck", "gradgradcheck": ".gradcheck", "detect_anomaly": ".anomaly_mode",
    "set_detect_anomaly": ".anomaly_mode",
}


def __getattr__(name):
    from importlib import import_module

    if name == "gradcheck":  # the function hides the module of the same name, as in torch
        value = globals()[name] = import_module(".gradcheck", __package__).gradcheck
        return value
    if name in _PARTS:
        return getattr(import_module(_PARTS[name], __package__), name)
    if name in ("profiler", "functional", "anomaly_mode", "forward_ad", "graph"):
        return import_module("." + name, __package__)
    raise AttributeError("module 'torch.autograd' has no attribute '%s'" % name)
