"""torch.linalg: the operators of this slice under their linalg names."""
from . import _C

_ops = _C.ops


def norm(A, ord=None, dim=None, keepdim=False, *, out=None, dtype=None):
    if dtype is not None:
        A = A.to(dtype)
    if ord is None:
        return _ops.norm(A.reshape(-1) if dim is None and not keepdim else A, 2, dim, keepdim)
    if dim is None and A.dim() == 2:
        return matrix_norm(A, ord, keepdim=keepdim)
    if isinstance(dim, (tuple, list)) and len(dim) == 2:
        return matrix_norm(A, ord, dim, keepdim)
    return vector_norm(A, ord, dim, keepdim)


def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None, out=None):
    if dtype is not None:
        x = x.to(dtype)
    return _ops.norm(x, ord, dim, keepdim)


def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None, out=None):
    if dtype is not None:
        A = A.to(dtype)
    rows, cols = (d % A.dim() for d in dim)
    if ord in ("fro", None):
        return _ops.norm(A, 2, (rows, cols), keepdim)
    if ord in (1, -1, float("inf"), float("-inf")):
        first, second = (rows, cols) if abs(ord) == 1 else (cols, rows)
        sums = A.abs().sum(first, keepdim=True)
        result = sums.amax(second, keepdim=True) if ord > 0 else sums.amin(second, keepdim=True)
        return result if keepdim else result.squeeze(max(rows, cols)).squeeze(min(rows, cols))
    raise NotImplementedError("torch.linalg.matrix_norm(ord=%r) needs singular values, which taper does not compute" % (ord,))


def matmul(A, B, *, out=None):
    return _ops.matmul(A, B)


def vecdot(x, y, *, dim=-1, out=None):
    return (x * y).sum(dim)


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    value = getattr(_ops, "linalg_" + name, None)
    if value is None:
        from ._absent import Absent

        raise Absent("torch.linalg.%s is not one of taper's operators" % name)
    return value
