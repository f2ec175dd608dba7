"""Shape helpers of `torch.*` made of other operators. Each is used only where the extension has no operator of that name."""
from . import _C

_ops = _C.ops


def broadcast_shapes(*shapes):
    result = []
    for shape in shapes:
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        while len(result) < len(shape):
            result.insert(0, 1)
        for i in range(-1, -len(shape) - 1, -1):
            if shape[i] < 0:
                raise RuntimeError("Trying to create tensor with negative dimension (%d): (%d)" % (shape[i], shape[i]))
            if shape[i] == 1 or shape[i] == result[i]:
                continue
            if result[i] != 1:
                raise RuntimeError("Shape mismatch: objects cannot be broadcast to a single shape")
            result[i] = shape[i]
    return _C.Size(result)


def broadcast_tensors(*tensors):
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tensors[0]
    shape = broadcast_shapes(*(t.shape for t in tensors))
    return tuple(t.expand(shape) for t in tensors)


def einsum(equation, *operands):
    """einsum("ij,jk", a, b), with the operands in one list too, or as einsum(a, [0, 1], b, [1, 2], [0, 2])."""
    if isinstance(equation, _C.Tensor):
        items = (equation,) + operands
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

        def word(labels):
            return "".join("..." if k is Ellipsis else letters[k] for k in labels)

        pairs = len(items) // 2
        operands = items[: 2 * pairs : 2]
        equation = ",".join(word(items[2 * i + 1]) for i in range(pairs))
        if len(items) % 2:
            equation += "->" + word(items[-1])
    elif len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = operands[0]
    return _ops.einsum(equation, list(operands))


def norm(input, p="fro", dim=None, keepdim=False, out=None, dtype=None):
    if p == "nuc":
        raise NotImplementedError("torch.norm(p='nuc') needs singular values, which taper does not compute")
    result = _ops.norm(input, 2 if p is None or p == "fro" else p, dim, keepdim, dtype=dtype)
    return result if out is None else _ops.clone(result, out=out)


def nonzero(input, *, out=None, as_tuple=False):
    """The places that are not zero: rows of one tensor, or a tensor per dim with as_tuple."""
    if as_tuple:
        return (input.unsqueeze(0) if input.dim() == 0 else input).where_true()
    return _ops.nonzero(input) if out is None else _ops.nonzero(input, out=out)




def _listed(tensors):
    return tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors


def _each(function, tensors):
    if len(tensors) == 1 and not isinstance(tensors[0], (list, tuple)):
        return function(tensors[0])
    return tuple(function(t) for t in _listed(tensors))


def atleast_1d(*tensors):
    return _each(lambda t: t.reshape(1) if t.dim() == 0 else t, tensors)


def atleast_2d(*tensors):
    return _each(lambda t: t.reshape(1, 1) if t.dim() == 0 else (t.unsqueeze(0) if t.dim() == 1 else t), tensors)


def atleast_3d(*tensors):
    def one(t):
        if t.dim() == 0:
            return t.reshape(1, 1, 1)
        if t.dim() == 1:
            return t.unsqueeze(0).unsqueeze(-1)
        return t.unsqueeze(-1) if t.dim() == 2 else t

    return _each(one, tensors)


def meshgrid(*tensors, indexing=None):
    tensors = _listed(tensors)
    if indexing is None:
        import warnings

        warnings.warn("torch.meshgrid: in an upcoming release, it will be required to pass the indexing argument.", stacklevel=2)
        indexing = "ij"
    if indexing not in ("ij", "xy"):
        raise RuntimeError('torch.meshgrid: indexing must be one of "xy" or "ij", but received: %s' % indexing)
    swap = indexing == "xy" and len(tensors) >= 2
    if swap:
        tensors = [tensors[1], tensors[0], *tensors[2:]]
    shape = [t.numel() for t in tensors]
    grids = [t.reshape([-1 if i == j else 1 for j in range(len(tensors))]).expand(shape) for i, t in enumerate(tensors)]
    if swap:
        grids = [g.transpose(0, 1) for g in grids]
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


def cartesian_prod(*tensors):
    if len(tensors) == 1:
        return tensors[0]
    return _ops.stack([g.reshape(-1) for g in meshgrid(*tensors, indexing="ij")], 1)


def block_diag(*tensors):
    tensors = [atleast_2d(t) for t in tensors]
    for i, t in enumerate(tensors):
        if t.dim() != 2:
            raise RuntimeError("torch.block_diag: Input tensors must have 2 or fewer dimensions. Input %d has %d dimensions" % (i, t.dim()))
    width, rows, c = sum(t.shape[1] for t in tensors), [], 0
    for t in tensors:
        rows.append(_ops.constant_pad_nd(t, (c, width - c - t.shape[1])))
        c += t.shape[1]
    return _ops.cat(rows, 0) if rows else _ops.empty((1, 0))


def tensordot(a, b, dims=2, out=None):
    """Sums over the last `dims` dims of a and the first of b, or over two lists of dims."""
    if isinstance(dims, _C.Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError("tensordot expects dims >= 0, but got dims=%d" % dims)
        dims = list(range(a.dim() - dims, a.dim())), list(range(dims))
    first, second = ([d] if isinstance(d, int) else list(d) for d in dims)
    result = _ops.tensordot(a, b, first, second)
    return result if out is None else _ops.clone(result, out=out)


def unravel_index(indices, shape):
    result = []
    for size in reversed(list(shape) if not isinstance(shape, int) else [shape]):
        result.append(indices % size)
        indices = _ops.div(indices, size, rounding_mode="floor")
    return tuple(reversed(result))


def chain_matmul(*matrices):
    result = matrices[0]
    for m in matrices[1:]:
        result = result @ m
    return result


def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The different values (or slices along dim) of input, in order; then where each element went and how often each occurs."""
    if dim is None:
        found = _ops.unique2(input, sorted, return_inverse, return_counts)
    else:
        found = _ops.unique_dim(input, dim, sorted, return_inverse, return_counts)
    return _wanted(found, return_inverse, return_counts)


def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """input with runs of equal values (or slices along dim) as one each."""
    return _wanted(_ops.unique_runs(input, return_inverse, return_counts, dim), return_inverse, return_counts)


def _wanted(found, inverse, counts):
    picked = [found[0]] + [found[1]] * bool(inverse) + [found[2]] * bool(counts)
    return picked[0] if len(picked) == 1 else tuple(picked)
