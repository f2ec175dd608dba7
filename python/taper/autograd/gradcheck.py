"""Gradients against finite differences, with random output weights so that no error can cancel in a sum."""
from .. import _C

__all__ = ["gradcheck", "gradgradcheck", "GradcheckError"]


class GradcheckError(RuntimeError):
    pass


def _tensors(x):
    if isinstance(x, _C.Tensor):
        return (x,)
    if isinstance(x, (tuple, list)):
        return tuple(t for t in x if isinstance(t, _C.Tensor))
    return ()


def _loss(func, inputs, weights):
    total = 0.0
    for out, w in zip(_differentiable(func(*inputs)), weights):
        total = total + (out.double() * w).sum()
    return total


def _differentiable(outputs):
    return tuple(o for o in _tensors(outputs) if o.is_floating_point())


def _check(func, inputs, eps, atol, rtol, nondet_tol):
    inputs = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    wanted = [t for t in _tensors(inputs) if t.requires_grad]
    if not wanted:
        raise ValueError("gradcheck expects at least one input tensor to require gradient, but none of the them have requires_grad=True.")
    for i, t in enumerate(wanted):
        if t.dtype != _C.float64:
            import warnings

            warnings.warn("Input #%d requires gradient and is not a double precision floating point. This check will likely fail if "
                          "all the inputs are not of double precision floating point." % i)
    outputs = _differentiable(func(*inputs))
    if not any(o.requires_grad for o in outputs):
        raise GradcheckError("gradcheck: no output of the function requires a gradient")
    # Several random weightings make a wrong row of the Jacobian visible without computing it whole.
    for _ in range(min(4, max(o.numel() for o in outputs))):
        weights = [_C.ops.rand(o.shape, dtype=_C.float64, device=o.device) + 0.5 for o in outputs]
        analytic = _C.autograd_grad((_loss(func, inputs, weights),), (None,), tuple(wanted), False, False, True)
        previous = _C.set_grad_enabled(False)
        try:
            for k, (t, a) in enumerate(zip(wanted, analytic)):
                numeric = _numeric(lambda: _loss(func, inputs, weights), t, eps)
                a = _C.ops.zeros_like(numeric) if a is None else a.double()
                if not _C.ops.allclose(a.reshape(-1), numeric.reshape(-1), rtol=rtol, atol=atol):
                    raise GradcheckError("Jacobian mismatch for output 0 with respect to input %d,\nnumerical:%s\nanalytical:%s\n"
                                         % (k, numeric, a))
        finally:
            _C.set_grad_enabled(previous)
    return True


def _numeric(loss, t, eps):
    """d loss / d t by central differences, element by element."""
    data = t.detach()
    result = _C.ops.zeros(data.numel(), dtype=_C.float64)
    shape = data.shape
    for i in range(data.numel()):
        index, rest = [], i
        for size in reversed(shape):
            index.insert(0, rest % size)
            rest //= size
        index = tuple(index)
        keep = data[index].item()
        data[index] = keep + eps
        high = loss().item()
        data[index] = keep - eps
        low = loss().item()
        data[index] = keep
        result[i] = (high - low) / (2 * eps)
    return result.reshape(shape)


def gradcheck(func, inputs, *, eps=1e-6, atol=1e-5, rtol=1e-3, raise_exception=True, nondet_tol=0.0, check_undefined_grad=True,
              check_grad_dtypes=False, check_batched_grad=False, check_batched_forward_grad=False, check_forward_ad=False,
              check_backward_ad=True, fast_mode=False, masked=None):
    try:
        return _check(func, inputs, eps, atol, rtol, nondet_tol)
    except GradcheckError:
        if raise_exception:
            raise
        return False


def gradgradcheck(func, inputs, grad_outputs=None, *, eps=1e-6, atol=1e-5, rtol=1e-3, gen_non_contig_grad_outputs=False,
                  raise_exception=True, nondet_tol=0.0, check_undefined_grad=True, check_grad_dtypes=False, check_batched_grad=False,
                  check_fwd_over_rev=False, check_rev_over_rev=True, fast_mode=False, masked=False):
    """gradcheck of the gradients themselves."""
    inputs = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    outputs = _differentiable(func(*inputs))
    if grad_outputs is None:
        grad_outputs = tuple(_C.ops.randn(o.shape, dtype=o.dtype, device=o.device).requires_grad_() for o in outputs)
    else:
        grad_outputs = _tensors(grad_outputs)
    n = len(inputs)

    def gradient(*args):
        inner = [a for a in args[:n] if isinstance(a, _C.Tensor) and a.requires_grad]
        return _C.autograd_grad(_differentiable(func(*args[:n])), tuple(args[n:]), tuple(inner), True, True, True)

    return gradcheck(gradient, inputs + grad_outputs, eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception)
