"""Convolution, pooling, resampling, padding, normalisation and lookup."""
from ... import _C

_ops = _C.ops


def _pair(x, n=2):
    return (x,) * n if not isinstance(x, (tuple, list)) else tuple(x)


conv1d, conv2d, linear = _ops.conv1d, _ops.conv2d, _ops.linear
_absent = []


def _operator(name):
    """The operator itself, or a function that says that there is none."""
    found = getattr(_ops, name, None)
    if found is not None:
        return found

    def missing(*args, **kwargs):
        raise NotImplementedError("torch.nn.functional.%s is not one of taper's operators" % name)

    missing.__name__ = missing.__qualname__ = name
    _absent.append(name)
    return missing


conv_transpose1d = _operator("conv_transpose1d")
conv_transpose2d = _operator("conv_transpose2d")
conv_transpose3d = _operator("conv_transpose3d")
avg_pool1d = _operator("avg_pool1d")
_pixel_shuffle = getattr(_ops, "pixel_shuffle", None)


def bilinear(input1, input2, weight, bias=None):
    lead = input1.shape[:-1]
    x1, x2 = input1.reshape(-1, input1.shape[-1]), input2.reshape(-1, input2.shape[-1])
    o, i, j = weight.shape
    out = _ops.mm(x1, weight.permute(1, 0, 2).reshape(i, o * j)).reshape(-1, o, j)
    out = _ops.bmm(out, x2.unsqueeze(2)).reshape(tuple(lead) + (o,))
    return out if bias is None else out + bias


# ---- pooling ----
def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    if stride is None:
        stride = kernel_size
    if return_indices:
        return _ops.max_pool2d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
    return _ops.max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d_with_indices(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    return _ops.max_pool2d_with_indices(input, kernel_size, kernel_size if stride is None else stride, padding, dilation, ceil_mode)


def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    k, s, p, d = ((1, _pair(x, 1)[0]) for x in (kernel_size, kernel_size if stride is None else stride, padding, dilation))
    out = max_pool2d(input.unsqueeze(-2), k, s, (0, p[1]), d, ceil_mode, return_indices)
    if return_indices:
        return out[0].squeeze(-2), out[1].squeeze(-2)
    return out.squeeze(-2)


def avg_pool2d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
    return _ops.avg_pool2d(input, kernel_size, kernel_size if stride is None or stride == () else stride, padding, ceil_mode,
                           count_include_pad, divisor_override)


if "avg_pool1d" in _absent:
    def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
        k, s, p = ((1, _pair(x, 1)[0]) for x in (kernel_size, kernel_size if stride is None else stride, padding))
        return avg_pool2d(input.unsqueeze(-2), k, s, (0, p[1]), ceil_mode, count_include_pad).squeeze(-2)


def _output_size(output_size, shape):
    """None in an output size means: as the input."""
    n = 2
    sizes = _pair(output_size, n)
    return [shape[len(shape) - n + i] if s is None else s for i, s in enumerate(sizes)]


def adaptive_avg_pool2d(input, output_size):
    return _ops.adaptive_avg_pool2d(input, _output_size(output_size, input.shape))


def adaptive_avg_pool1d(input, output_size):
    return adaptive_avg_pool2d(input.unsqueeze(-2), (1, _pair(output_size, 1)[0])).squeeze(-2)


def adaptive_max_pool2d(input, output_size, return_indices=False):
    sizes = _output_size(output_size, input.shape)
    if hasattr(_ops, "adaptive_max_pool2d"):
        out = _ops.adaptive_max_pool2d(input, sizes)
        return out if return_indices else out[0]
    h, w = input.shape[-2:]
    if h % sizes[0] or w % sizes[1]:
        raise NotImplementedError("adaptive_max_pool2d: input %s cannot be cut into %s equal windows" % (tuple(input.shape), sizes))
    return max_pool2d(input, (h // sizes[0], w // sizes[1]), return_indices=return_indices)


def adaptive_max_pool1d(input, output_size, return_indices=False):
    out = adaptive_max_pool2d(input.unsqueeze(-2), (1, _pair(output_size, 1)[0]), return_indices)
    return tuple(o.squeeze(-2) for o in out) if return_indices else out.squeeze(-2)


def lp_pool2d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    kw, kh = _pair(kernel_size)
    out = avg_pool2d(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    return (_ops.sign(out) * _relu(out.abs()) * (kw * kh)).pow(1.0 / norm_type)


def _relu(x):
    return _ops.relu(x)


# ---- padding and resampling ----
def pad(input, pad, mode="constant", value=None):
    return _ops.pad(input, list(pad), mode, value)


def interpolate(input, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None,
                antialias=False):
    spatial = input.dim() - 2
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError("align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear")
    elif align_corners is None:
        align_corners = False
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is not None:
        sizes, scales = list(_pair(size, spatial)), None
        if len(sizes) != spatial:
            raise ValueError("Input and output must have the same number of spatial dimensions, but got input with spatial dimensions of %s "
                             "and output size of %s. Please provide input tensor in (N, C, d1, d2, ...,dK) format and output size in (o1, "
                             "o2, ...,oK) format." % (list(input.shape[2:]), size))
    elif scale_factor is not None:
        scales = [float(s) for s in _pair(scale_factor, spatial)]
        sizes = [int(n * s) for n, s in zip(input.shape[2:], scales)]
        if recompute_scale_factor:
            scales = None
    else:
        raise ValueError("either size or scale_factor should be defined")
    if mode == "area":
        return adaptive_avg_pool2d(input, sizes) if spatial == 2 else adaptive_avg_pool1d(input, sizes)
    kernel = {"nearest": "nearest", "nearest-exact": "nearest_exact", "linear": "linear", "bilinear": "bilinear",
              "bicubic": "bicubic"}.get(mode)
    name = {"nearest": "upsample_nearest%dd" % spatial, "linear": "upsample_linear1d", "bilinear": "upsample_bilinear2d",
            "bicubic": "upsample_bicubic2d", "nearest_exact": "_upsample_nearest_exact%dd" % spatial}.get(kernel)
    function = getattr(_ops, name or "", None)
    if function is None:
        raise NotImplementedError("Input Error: interpolate of a %dD input with mode %r is not one of taper's operators"
                                  % (input.dim(), mode))
    scales = scales or [None] * spatial
    if kernel.startswith("nearest"):
        return function(input, sizes, *scales)
    return function(input, sizes, align_corners, *scales)


def upsample(input, size=None, scale_factor=None, mode="nearest", align_corners=None):
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input, size=None, scale_factor=None):
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input, size=None, scale_factor=None):
    return interpolate(input, size, scale_factor, "bilinear", align_corners=True)


def pixel_shuffle(input, upscale_factor):
    if _pixel_shuffle is not None:
        return _pixel_shuffle(input, upscale_factor)
    r = upscale_factor
    *lead, c, h, w = input.shape
    x = input.reshape(*lead, c // (r * r), r, r, h, w)
    n = len(lead)
    x = x.permute(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return x.reshape(*lead, c // (r * r), h * r, w * r)


def pixel_unshuffle(input, downscale_factor):
    r = downscale_factor
    *lead, c, h, w = input.shape
    n = len(lead)
    x = input.reshape(*lead, c, h // r, r, w // r, r).permute(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return x.reshape(*lead, c * r * r, h // r, w // r)


# ---- normalisation ----
def _verify_batch_size(size):
    values = size[0]
    for s in size[2:]:
        values *= s
    if values == 1:
        raise ValueError("Expected more than 1 value per channel when training, got input size %s" % (size,))


def batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    if training:
        _verify_batch_size(input.size())
    return _ops.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5):
    if use_input_stats and input[0, 0].numel() == 1:
        raise ValueError("Expected more than 1 spatial element when training, got input size %s" % (input.size(),))
    n, c = input.shape[:2]
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    # One group per sample and channel; running statistics are averages over the batch.
    out = _ops.group_norm(input, c, weight, bias, eps)
    if running_mean is not None:
        previous = _C.set_grad_enabled(False)
        try:
            flat = input.detach().reshape(n, c, -1)
            running_mean.mul_(1 - momentum).add_(flat.mean(-1).mean(0), alpha=momentum)
            running_var.mul_(1 - momentum).add_(flat.var(-1).mean(0), alpha=momentum)
        finally:
            _C.set_grad_enabled(previous)
    return out


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _ops.layer_norm(input, normalized_shape, weight, bias, eps)


def rms_norm(input, normalized_shape, weight=None, eps=None):
    return _ops.rms_norm(input, normalized_shape, weight, eps)


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    if input.dim() < 2:
        raise RuntimeError("Expected at least 2 dimensions for input tensor but received %d" % input.dim())
    _verify_batch_size([input.size(0) * input.size(1) // num_groups, num_groups] + list(input.size()[2:]))
    return _ops.group_norm(input, num_groups, weight, bias, eps)


def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
    squares = input.mul(input).unsqueeze(1)
    shape = input.shape
    flat = squares.reshape(shape[0], 1, shape[1], -1)
    flat = pad(flat, (0, 0, size // 2, (size - 1) // 2))
    mean = avg_pool2d(flat, (size, 1), stride=1).reshape(shape)
    return input / (mean * alpha + k).pow(beta)


# ---- lookup ----
def embedding(input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False):
    if padding_idx is not None:
        n = weight.size(0)
        if padding_idx > 0:
            assert padding_idx < n, "Padding_idx must be within num_embeddings"
        elif padding_idx < 0:
            assert padding_idx >= -n, "Padding_idx must be within num_embeddings"
            padding_idx += n
    else:
        padding_idx = -1
    if max_norm is not None:
        previous = _C.set_grad_enabled(False)
        try:
            rows = input.reshape(-1).unique()
            norms = weight[rows].norm(norm_type, -1, keepdim=True)
            weight[rows] = weight[rows] * _ops.where(norms > max_norm, max_norm / (norms + 1e-7), _ops.ones_like(norms))
        finally:
            _C.set_grad_enabled(previous)
    return _ops.embedding(weight, input, padding_idx, scale_grad_by_freq, sparse)


def embedding_bag(input, weight, offsets=None, max_norm=None, norm_type=2, scale_grad_by_freq=False, mode="mean", sparse=False,
                  per_sample_weights=None, include_last_offset=False, padding_idx=None):
    if input.dim() == 2:
        rows = embedding(input, weight, padding_idx, max_norm, norm_type)
        keep = None if padding_idx is None else (input != padding_idx).unsqueeze(-1).to(rows.dtype)
        if per_sample_weights is not None:
            rows = rows * per_sample_weights.unsqueeze(-1)
        if mode == "max":
            return rows.max(1)[0]
        total = (rows if keep is None else rows * keep).sum(1)
        if mode == "sum":
            return total
        return total / (input.shape[1] if keep is None else keep.sum(1).clamp(min=1))
    starts = offsets.tolist()
    ends = starts[1:] + ([] if include_last_offset else [input.numel()])
    if include_last_offset:
        starts = starts[:-1]
    bags = []
    for a, b in zip(starts, ends):
        part = None if per_sample_weights is None else per_sample_weights[a:b].unsqueeze(0)
        bags.append(_ops.zeros(1, weight.shape[1], dtype=weight.dtype, device=weight.device) if a == b else
                    embedding_bag(input[a:b].unsqueeze(0), weight, None, max_norm, norm_type, False, mode, False, part, False, padding_idx))
    return _ops.cat(bags)


def one_hot(tensor, num_classes=-1):
    return _ops.one_hot(tensor, num_classes)


def unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    """(N, C, H, W) -> (N, C*kh*kw, L): the windows of a convolution as columns."""
    return _ops.im2col(input, kernel_size, dilation, padding, stride)


grid_sample = _operator("grid_sample")
affine_grid = _operator("affine_grid")
