"""Jacobians and Hessians by repeated backward passes."""
from .. import _C
from . import grad

__all__ = ["jacobian", "hessian", "vjp", "hvp", "vhp"]


def _leaves(inputs, create_graph):
    single = isinstance(inputs, _C.Tensor)
    inputs = (inputs,) if single else tuple(inputs)
    return single, tuple(x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_() for x in inputs)


def jacobian(func, inputs, create_graph=False, strict=False, vectorize=False, strategy="reverse-mode"):
    single, xs = _leaves(inputs, create_graph)
    previous = _C.set_grad_enabled(True)
    try:
        outs = func(*xs)
        one = isinstance(outs, _C.Tensor)
        result = []
        for out in (outs,) if one else outs:
            rows = [[] for _ in xs]
            for i in range(out.numel()):
                gs = grad(out.reshape(-1)[i], xs, retain_graph=True, create_graph=create_graph, allow_unused=True)
                for r, g, x in zip(rows, gs, xs):
                    r.append(_C.ops.zeros_like(x) if g is None else g)
            js = tuple(_C.ops.stack(r).reshape(tuple(out.shape) + tuple(x.shape)) for r, x in zip(rows, xs))
            result.append(js[0] if single else js)
    finally:
        _C.set_grad_enabled(previous)
    return result[0] if one else tuple(result)


def hessian(func, inputs, create_graph=False, strict=False, vectorize=False, outer_jacobian_strategy="reverse-mode"):
    single = isinstance(inputs, _C.Tensor)

    def gradient(*xs):
        gs = jacobian(func, xs[0] if single else xs, create_graph=True)
        return gs.reshape(xs[0].shape) if single else tuple(g.reshape(x.shape) for g, x in zip(gs, xs))

    return jacobian(gradient, inputs, create_graph=create_graph)


def vjp(func, inputs, v=None, create_graph=False, strict=False):
    single, xs = _leaves(inputs, create_graph)
    previous = _C.set_grad_enabled(True)
    try:
        outs = func(*xs)
        gs = grad(outs, xs, v, create_graph=create_graph, allow_unused=True, materialize_grads=True)
    finally:
        _C.set_grad_enabled(previous)
    return outs, gs[0] if single else gs


def hvp(func, inputs, v=None, create_graph=False, strict=False):
    single, xs = _leaves(inputs, True)
    previous = _C.set_grad_enabled(True)
    try:
        out = func(*xs)
        gs = grad(out, xs, create_graph=True, allow_unused=True, materialize_grads=True)
        hs = grad(gs, xs, (v,) if isinstance(v, _C.Tensor) else v, create_graph=create_graph, allow_unused=True,
                  materialize_grads=True)
    finally:
        _C.set_grad_enabled(previous)
    return out, hs[0] if single else hs


vhp = hvp
