"""Clipping of gradients."""
from ... import _C

_ops = _C.ops

__all__ = ["clip_grad_norm_", "clip_grad_norm", "clip_grad_value_", "get_total_norm", "clip_grads_with_norm_"]


def _grads(parameters):
    if isinstance(parameters, _C.Tensor):
        parameters = [parameters]
    else:
        generator = not hasattr(parameters, "__len__")
        parameters = list(parameters)
        if generator and not parameters:
            import warnings

            warnings.warn("`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=3)
    return [p.grad for p in parameters if p.grad is not None]


def get_total_norm(tensors, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    tensors = [tensors] if isinstance(tensors, _C.Tensor) else list(tensors)
    norm_type = float(norm_type)
    if not tensors:
        return _ops.tensor(0.0)
    device = tensors[0].device
    total = _ops.norm(_ops.stack([_ops.norm(t.detach(), norm_type).to(device) for t in tensors]), norm_type)
    if error_if_nonfinite and not _ops.isfinite(total):
        raise RuntimeError("The total norm of order %s for gradients from `parameters` is non-finite, so it cannot be clipped. To disable this "
                           "error and scale the gradients by the non-finite norm anyway, set `error_if_nonfinite=False`" % norm_type)
    return total


def clip_grads_with_norm_(parameters, max_norm, total_norm, foreach=None):
    _scale(_grads(parameters), float(max_norm), total_norm)


def _scale(grads, max_norm, total):
    coefficient = (max_norm / (total + 1e-6)).clamp(max=1.0)
    for g in grads:
        g.mul_(coefficient if g.device == coefficient.device else coefficient.to(g.device))


def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """Scales all gradients so that their common norm is at most max_norm; gives the norm before."""
    grads = _grads(parameters)
    max_norm, norm_type = float(max_norm), float(norm_type)
    previous = _C.set_grad_enabled(False)
    try:
        fused = getattr(_C, "clip_grad_norm_", None)
        if fused is not None and norm_type == 2.0 and grads and not error_if_nonfinite:
            return fused(grads, max_norm)
        total = get_total_norm(grads, norm_type, error_if_nonfinite)
        if grads:
            _scale(grads, max_norm, total)
        return total
    finally:
        _C.set_grad_enabled(previous)


def clip_grad_norm(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    import warnings

    warnings.warn("torch.nn.utils.clip_grad_norm is now deprecated in favor of torch.nn.utils.clip_grad_norm_.", FutureWarning, stacklevel=2)
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def clip_grad_value_(parameters, clip_value, foreach=None):
    clip_value = float(clip_value)
    previous = _C.set_grad_enabled(False)
    try:
        for g in _grads(parameters):
            g.clamp_(min=-clip_value, max=clip_value)
    finally:
        _C.set_grad_enabled(previous)
