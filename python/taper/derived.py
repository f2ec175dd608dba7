"""Functions of `torch.*` and methods of tensors that are a few operators each; used where the extension has none of that name."""
import builtins

from . import _C

_counted = builtins.range  # the name is torch's below
_ops = _C.ops
_log2e = 1.4426950408889634

# Words that are both torch.word(x, ...) and x.word(...).
BOTH = ("inner vdot argwhere msort mode nanmean nanmedian nanquantile logcumsumexp float_power heaviside ldexp sinc signbit isposinf isneginf "
        "isreal is_nonzero is_same_size logaddexp2 addr addbmm matrix_power renorm select_scatter slice_scatter diagonal_scatter put "
        "narrow_copy index_reduce unique unique_consecutive histogram is_complex numel is_floating_point is_conj is_neg fill").split()
# Words of torch.* only.
FUNCTIONS = ("range result_type can_cast promote_types trapezoid trapz cumulative_trapezoid vander combinations poisson complex polar "
             "view_as_real view_as_complex real imag nuclear_norm").split()
# Found in torch.nn.functional under the same name.
NEURAL = ("cosine_similarity pairwise_distance prelu rrelu bilinear hinge_embedding_loss margin_ranking_loss cosine_embedding_loss "
          "triplet_margin_loss poisson_nll_loss gaussian_nll_loss ctc_loss hardshrink softshrink glu instance_norm conv3d conv_transpose3d "
          "embedding_bag adaptive_max_pool1d grid_sample affine_grid fold celu_ selu_ rrelu_ threshold_ relu_ feature_dropout "
          "alpha_dropout feature_alpha_dropout kl_div max_pool1d_with_indices channel_shuffle").split()


def __getattr__(name):
    if name in NEURAL:
        from .nn import functional

        return getattr(functional, name)
    if name in ("unique", "unique_consecutive"):
        from . import composites

        return getattr(composites, name)
    raise AttributeError("module 'torch' has no attribute '%s'" % name)


# ---- what a tensor is ----

def numel(input):
    return input.numel()


def is_floating_point(input):
    return input.is_floating_point()


def is_complex(input):
    if not isinstance(input, _C.Tensor):
        raise TypeError("is_complex(): argument 'input' (position 1) must be Tensor, not %s" % type(input).__name__)
    return False


def is_conj(input):
    return False


def is_neg(input):
    return False


def is_nonzero(input):
    return bool(input)


def is_same_size(input, other):
    return input.shape == other.shape


def _sample(value, device="meta"):
    """Something on meta that promotes as value does."""
    return _ops.empty(value.shape, dtype=value.dtype, device=device) if isinstance(value, _C.Tensor) else value


def result_type(tensor1, tensor2):
    if not isinstance(tensor1, _C.Tensor) and not isinstance(tensor2, _C.Tensor):
        def kind(v):
            return _C.bool if isinstance(v, bool) else _C.int64 if isinstance(v, int) else _C.get_default_dtype()

        return promote_types(kind(tensor1), kind(tensor2))
    if not isinstance(tensor1, _C.Tensor):
        tensor1, tensor2 = tensor2, tensor1
    a = _ops.empty((1,) if tensor1.dim() else (), dtype=tensor1.dtype, device="meta")
    if isinstance(tensor2, _C.Tensor):
        tensor2 = _ops.empty((1,) if tensor2.dim() else (), dtype=tensor2.dtype, device="meta")
    return _ops.add(a, tensor2).dtype


def promote_types(type1, type2):
    return _ops.add(_ops.empty((1,), dtype=type1, device="meta"), _ops.empty((1,), dtype=type2, device="meta")).dtype


def can_cast(from_, to):
    def rank(dtype):
        return 2 if dtype.is_floating_point else 0 if dtype == _C.bool else 1

    if rank(from_) == rank(to) == 1:
        return not (to == _C.uint8 and from_ != _C.uint8)
    return rank(from_) <= rank(to)


# ---- element by element ----

def float_power(input, exponent, *, out=None):
    wide = input.to(_C.float64) if isinstance(input, _C.Tensor) else _ops.full((), float(input), dtype=_C.float64)
    return _given(_ops.pow(wide, exponent.to(_C.float64) if isinstance(exponent, _C.Tensor) else exponent), out)


def heaviside(input, values, *, out=None):
    if input.dtype != values.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    return _given(_ops.where(input == 0, values, (input > 0).to(input.dtype)), out)


def ldexp(input, other, *, out=None):
    return _given(input * _ops.exp2(other.to(_C.float32) if not other.is_floating_point() else other), out)


def sinc(input, *, out=None):
    x = input * 3.141592653589793
    zero = x == 0
    return _given(_ops.where(zero, 1.0, _ops.sin(x) / _ops.where(zero, 1.0, x)), out)


def signbit(input, *, out=None):
    if not input.is_floating_point():
        return _given(input < 0 if input.dtype != _C.bool else _ops.zeros_like(input), out)
    return _given(_ops.copysign(_ops.ones_like(input), input) < 0, out)


def isposinf(input, *, out=None):
    return _given(_ops.isinf(input) & (input > 0), out)


def isneginf(input, *, out=None):
    return _given(_ops.isinf(input) & (input < 0), out)


def isreal(input):
    return _ops.ones_like(input, dtype=_C.bool)


def logaddexp2(input, other, *, out=None):
    return _given(_ops.logaddexp(input / _log2e, other / _log2e) * _log2e, out)


def real(input):
    return input


def fill(input, value):
    return input.clone().fill_(value)


def poisson(input, generator=None):
    """Knuth's product of uniforms, a normal where the rate is above 30."""
    if bool((input < 0).any()):
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    rate = input.detach().clamp(max=30.0)
    limit, product = _ops.exp(-rate), _ops.rand(input.shape, dtype=input.dtype, device=input.device, generator=generator)
    count = _ops.zeros_like(rate)
    alive = product > limit
    while bool(alive.any()):
        count = count + alive.to(count.dtype)
        product = product * _ops.rand(input.shape, dtype=input.dtype, device=input.device, generator=generator)
        alive = alive & (product > limit)
    noise = _ops.randn(input.shape, dtype=input.dtype, device=input.device, generator=generator)
    return _ops.where(input > 30, (input + noise * input.sqrt()).round().clamp(min=0.0), count)


def _no_complex(name):
    def f(*args, **kwargs):
        raise NotImplementedError("torch.%s: taper has no complex dtypes; keep real and imaginary parts in two tensors" % name)

    f.__name__ = f.__qualname__ = name
    return f


complex, polar, view_as_real, view_as_complex, imag = map(_no_complex, ("complex", "polar", "view_as_real", "view_as_complex", "imag"))


# ---- order and sums ----

def argwhere(input):
    return input.nonzero()


def msort(input, *, out=None):
    return _given(_ops.sort(input, 0)[0], out)


def mode(input, dim=-1, keepdim=False, *, out=None):
    """The most frequent value along dim (the least of them) and the last place where it stands."""
    if input.dim() == 0:
        return _pair("mode", input.clone(), _ops.zeros((), dtype=_C.int64, device=input.device))
    x = input.movedim(dim, -1)
    n = x.shape[-1]
    ordered = _ops.sort(x, -1, stable=True)[0].contiguous()
    low = _ops.searchsorted(ordered.detach(), ordered.detach())
    high = _ops.searchsorted(ordered.detach(), ordered.detach(), right=True)
    best = (high - low).argmax(-1, keepdim=True)
    value = ordered.gather(-1, best)
    steps = _ops.arange(n, device=input.device)
    where = _ops.where(x == value, steps, _ops.full_like(steps, -1)).amax(-1, keepdim=True)
    values = x.gather(-1, where)
    values, where = values.movedim(-1, dim), where.movedim(-1, dim)
    return _pair("mode", values if keepdim else values.squeeze(dim), where if keepdim else where.squeeze(dim))


def nanmean(input, dim=None, keepdim=False, *, dtype=None, out=None):
    kept = _ops.logical_not(_ops.isnan(input)).to(dtype or input.dtype)
    if dim is None:
        return _given(_ops.nansum(input, dtype=dtype) / kept.sum(), out)
    return _given(_ops.nansum(input, dim, keepdim, dtype=dtype) / kept.sum(dim, keepdim), out)


def nanquantile(input, q, dim=None, keepdim=False, *, interpolation="linear", out=None):
    x = input.reshape(-1) if dim is None or input.dim() == 0 else input.movedim(dim, -1)
    ordered = _ops.sort(x, -1)[0]
    count = _ops.logical_not(_ops.isnan(x)).sum(-1, keepdim=True)
    ranks = _ops.as_tensor(q, dtype=_C.float64).reshape(-1) * (count - 1).clamp(min=0).to(_C.float64)
    low, high = ranks.floor(), ranks.ceil()
    if interpolation == "lower":
        high = low
    elif interpolation == "higher":
        low = high
    elif interpolation == "nearest":
        low = high = ranks.round()
    a, b = ordered.gather(-1, low.long()), ordered.gather(-1, high.long())
    part = 0.5 if interpolation == "midpoint" else (ranks - low).to(x.dtype)
    result = (a + (b - a) * part).movedim(-1, 0)
    if keepdim:
        result = result.reshape([-1] + [1] * input.dim()) if dim is None else result.unsqueeze(dim + 1 if dim >= 0 else dim)
    scalar = not isinstance(q, _C.Tensor) or q.dim() == 0
    return _given(result[0] if scalar else result, out)


def nanmedian(input, dim=None, keepdim=False, *, out=None):
    if dim is None:
        flat = input.reshape(-1)
        kept = flat[_ops.logical_not(_ops.isnan(flat))] if flat.is_floating_point() else flat
        return kept.median() if kept.numel() else flat[:1].sum()
    x = input.movedim(dim, -1)
    values, places = _ops.sort(x, -1, stable=True)
    count = (_ops.logical_not(_ops.isnan(x)) if x.is_floating_point() else _ops.ones_like(x, dtype=_C.bool)).sum(-1, keepdim=True)
    at = _ops.div(count - 1, 2, rounding_mode="floor").clamp(min=0)
    value, place = values.gather(-1, at).movedim(-1, dim), places.gather(-1, at).movedim(-1, dim)
    return _pair("nanmedian", value if keepdim else value.squeeze(dim), place if keepdim else place.squeeze(dim))


def logcumsumexp(input, dim, *, out=None):
    top = _ops.cummax(input.detach(), dim)[0]
    shift = input.detach().amax(dim, keepdim=True) if input.numel() else input.detach()
    shift = _ops.where(_ops.isfinite(shift), shift, 0.0)
    near = _ops.log(_ops.cumsum(_ops.exp(input - shift), dim)) + shift
    # Where everything so far lies far below the largest of the line, the sum is taken against the largest so far.
    far = (top - shift) < -60
    if input.numel() and bool(far.any()):
        steps = input.unbind(dim)
        run = [steps[0]]
        for step in steps[1:]:
            run.append(_ops.logaddexp(run[-1], step))
        near = _ops.stack(run, dim)
    return _given(near, out)


def histogram(input, bins, *, range=None, weight=None, density=False, out=None):
    flat = input.detach().reshape(-1)
    if isinstance(bins, int):
        low, high = (float(flat.min()), float(flat.max())) if range is None else map(float, range)
        if low == high:
            low, high = low - 1, high + 1
        edges = _ops.linspace(low, high, bins + 1, dtype=input.dtype)
    else:
        edges = bins
    n = edges.numel() - 1
    at = (_ops.searchsorted(edges, flat, right=True) - 1)
    at = _ops.where(flat == edges[-1], _ops.full_like(at, n - 1), at)
    inside = (at >= 0) & (at < n)
    ones = inside.to(input.dtype) if weight is None else weight.reshape(-1) * inside
    hist = _ops.zeros((n,), dtype=input.dtype).scatter_add(0, at.clamp(0, n - 1), ones)
    if density:
        hist = hist / (hist.sum() * (edges[1:] - edges[:-1]))
    return _pair("histogram", hist, edges, ("hist", "bin_edges"))


def trapezoid(y, x=None, *, dx=1, dim=-1):
    return _slices(y, x, dx, dim).sum(dim)


trapz = trapezoid


def cumulative_trapezoid(y, x=None, *, dx=1, dim=-1):
    return _slices(y, x, dx, dim).cumsum(dim)


def _slices(y, x, dx, dim):
    n = y.shape[dim]
    middle = (y.narrow(dim, 1, n - 1) + y.narrow(dim, 0, n - 1)) * 0.5
    if x is None:
        return middle * dx
    widths = x.diff(dim=-1 if x.dim() == 1 else dim)
    if x.dim() == 1 and y.dim() > 1:
        shape = [1] * y.dim()
        shape[dim] = -1
        widths = widths.reshape(shape)
    return middle * widths


def range(start, end=None, step=1, *, dtype=None, device=None, requires_grad=False, layout=None, out=None):
    """start, start + step, ... up to and with end."""
    import warnings

    warnings.warn("torch.range is deprecated and will be removed in a future release because its behavior is inconsistent with Python's "
                  "range builtin. Instead, use torch.arange, which produces values in [start, end).", UserWarning, stacklevel=2)
    if end is None:
        start, end = 0, start
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and larger bound inconsistent with step sign")
    n = builtins.int((end - start) / step) + 1
    wide = _ops.arange(n, dtype=_C.float64, device=device) * step + start
    return wide.to(dtype or _C.get_default_dtype()).requires_grad_(requires_grad)


# ---- matrices ----

def inner(input, other, *, out=None):
    if input.dim() == 0 or other.dim() == 0:
        return _given(input * other, out)
    from .composites import tensordot

    return _given(tensordot(input, other, dims=([-1], [-1])), out)


def vdot(input, other, *, out=None):
    return _given(_ops.dot(input, other), out)


def addr(input, vec1, vec2, *, beta=1, alpha=1, out=None):
    product = _ops.outer(vec1, vec2) * alpha
    return _given(input * beta + product if beta != 0 else product.expand_as(product), out)


def addbmm(input, batch1, batch2, *, beta=1, alpha=1, out=None):
    product = _ops.bmm(batch1, batch2).sum(0) * alpha
    return _given(input * beta + product if beta != 0 else product, out)


def matrix_power(input, n, *, out=None):
    if n < 0:
        raise NotImplementedError("matrix_power: taper computes no inverse, got n = %d" % n)
    result = _ops.eye(input.shape[-1], dtype=input.dtype, device=input.device).expand(input.shape).clone() if n == 0 else None
    base = input
    while n:
        if n & 1:
            result = base if result is None else result @ base
        n >>= 1
        if n:
            base = base @ base
    return _given(result, out)


def vander(x, N=None, increasing=False):
    N = x.numel() if N is None else N
    powers = _ops.arange(N, device=x.device)
    return _ops.pow(x.unsqueeze(-1), powers if increasing else powers.flip(0))


def combinations(input, r=2, with_replacement=False):
    import itertools

    picks = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = [list(p) for p in picks([*_counted(input.numel())], r)]
    return input[_ops.tensor(rows, dtype=_C.int64)] if rows else input.new_empty((0, r))


def renorm(input, p, dim, maxnorm, *, out=None):
    others = tuple(d for d in _counted(input.dim()) if d != dim % input.dim())
    norms = _ops.norm(input, p, others, True)
    return _given(input * _ops.where(norms > maxnorm, maxnorm / (norms + 1e-7), 1.0), out)


# ---- writing into a copy ----

def select_scatter(input, src, dim, index):
    result = input.clone()
    result.select(dim, index).copy_(src)
    return result


def slice_scatter(input, src, dim=0, start=None, end=None, step=1):
    result = input.clone()
    result[(slice(None),) * (dim % input.dim()) + (slice(start, end, step),)] = src
    return result


def diagonal_scatter(input, src, offset=0, dim1=0, dim2=1):
    result = input.clone()
    result.diagonal(offset, dim1, dim2).copy_(src)
    return result


def put(input, index, source, accumulate=False):
    return input.reshape(-1).index_put((index.reshape(-1),), source.reshape(-1), accumulate).reshape(input.shape)


def narrow_copy(input, dim, start, length):
    return input.narrow(dim, start, length).clone()


def index_reduce(input, dim, index, source, reduce, *, include_self=True):
    shape = [1] * source.dim()
    shape[dim] = -1
    return input.scatter_reduce(dim, index.reshape(shape).expand(source.shape), source, {"prod": "prod", "mean": "mean"}.get(reduce, reduce),
                                include_self=include_self)


def _given(result, out):
    if out is None:
        return result
    return _ops.clone(result, out=out)


def _pair(name, first, second, fields=("values", "indices")):
    from . import return_types

    return return_types.make(name, fields)((first, second))
