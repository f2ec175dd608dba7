"""Three spatial dims as slices of two, and the ways back from pooling: compositions of the operators for images."""
from ... import _C

_ops = _C.ops


def _triple(x):
    return tuple(x) * 3 if isinstance(x, (tuple, list)) and len(x) == 1 else tuple(x) if isinstance(x, (tuple, list)) else (x,) * 3


def _batched(function):
    """Lets a function of (N, C, D, H, W) take (C, D, H, W) too."""
    def outer(input, *args, **kwargs):
        if input.dim() == 4:
            return function(input.unsqueeze(0), *args, **kwargs).squeeze(0)
        if input.dim() != 5:
            raise RuntimeError("%s: expected a 4D or 5D input, got shape %s" % (function.__name__, tuple(input.shape)))
        return function(input, *args, **kwargs)

    outer.__name__ = outer.__qualname__ = function.__name__
    return outer


def _windows(x, kernel, stride, dilation=1):
    """(N, C, D, H, W) -> (N, C, out, kernel, H, W): the depths that each output sees."""
    n = (x.shape[2] - dilation * (kernel - 1) - 1) // stride + 1
    if n < 1:
        raise RuntimeError("Calculated padded input size along depth: %d. Kernel size: %d. Kernel size can't be greater than actual input size"
                           % (x.shape[2], dilation * (kernel - 1) + 1))
    return _ops.stack([x[:, :, k * dilation : k * dilation + (n - 1) * stride + 1 : stride] for k in range(kernel)], 3)


def _slices(x):
    """(N, C, D, H, W) -> (N * D, C, H, W)."""
    n, c, d, h, w = x.shape
    return x.transpose(1, 2).reshape(n * d, c, h, w)


def _joined(y, n):
    return y.reshape(n, y.shape[0] // n, *y.shape[1:]).transpose(1, 2)


@_batched
def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    stride, dilation = _triple(stride), _triple(dilation)
    if isinstance(padding, str):
        total = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, weight.shape[2:])]
        before = [t // 2 for t in total]
        after = [t - b for t, b in zip(total, before)]
    else:
        before = after = _triple(padding)
    x = _ops.pad(input, [p for b, a in zip(reversed(before), reversed(after)) for p in (b, a)]) if any(before) or any(after) else input
    n, c = x.shape[:2]
    if weight.dim() != 5 or c != weight.shape[1] * groups:
        raise RuntimeError("Given groups=%d, weight of size %s, expected input%s to have %d channels, but got %d channels instead"
                           % (groups, list(weight.shape), list(input.shape), weight.shape[1] * groups, c))
    seen = _windows(x, weight.shape[2], stride[0], dilation[0])  # (N, C, out, kernel, H, W): channel and depth become one
    d = seen.shape[2]
    flat = seen.permute(0, 2, 1, 3, 4, 5).reshape(n * d, c * weight.shape[2], *seen.shape[4:])
    return _joined(_ops.conv2d(flat, weight.flatten(1, 2), bias, stride[1:], 0, dilation[1:], groups), n)


@_batched
def max_pool3d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    if ceil_mode or return_indices:
        raise NotImplementedError("max_pool3d with ceil_mode or return_indices is not one of taper's functions")
    kernel, pad, dilation = _triple(kernel_size), _triple(padding), _triple(dilation)
    stride = kernel if stride is None else _triple(stride)
    flat = _joined(_ops.max_pool2d(_slices(input), kernel[1:], stride[1:], pad[1:], dilation[1:]), input.shape[0])
    if pad[0]:
        flat = _ops.pad(flat, (0, 0, 0, 0, pad[0], pad[0]), value=float("-inf"))
    return _windows(flat, kernel[0], stride[0], dilation[0]).amax(3)


@_batched
def avg_pool3d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
    kernel, pad = _triple(kernel_size), _triple(padding)
    stride = kernel if stride is None else _triple(stride)
    if ceil_mode or not count_include_pad and any(pad):
        raise NotImplementedError("avg_pool3d with ceil_mode, or without the padding in its count, is not one of taper's functions")
    flat = _joined(_ops.avg_pool2d(_slices(input), kernel[1:], stride[1:], pad[1:]), input.shape[0])
    if pad[0]:
        flat = _ops.pad(flat, (0, 0, 0, 0, pad[0], pad[0]))
    mean = _windows(flat, kernel[0], stride[0]).mean(3)
    return mean if divisor_override is None else mean * (kernel[0] * kernel[1] * kernel[2] / divisor_override)


@_batched
def adaptive_avg_pool3d(input, output_size):
    sizes = [s if o is None else o for o, s in zip(_triple(output_size), input.shape[2:])]
    flat = _joined(_ops.adaptive_avg_pool2d(_slices(input), sizes[1:]), input.shape[0])
    n, c, d, h, w = flat.shape
    return _ops.adaptive_avg_pool2d(flat.reshape(n, c, d, h * w), (sizes[0], h * w)).reshape(n, c, sizes[0], h, w)


def max_unpool2d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Puts each value where max_pool2d(return_indices=True) found it; zeros elsewhere."""
    pair = lambda x: tuple(x) if isinstance(x, (tuple, list)) else (x, x)  # noqa: E731
    kernel, pad = pair(kernel_size), pair(padding)
    stride = kernel if stride is None else pair(stride)
    if input.shape != indices.shape:
        raise RuntimeError("Expected shape of indices to be same as that of the input tensor (%s) but got indices tensor with shape: %s"
                           % (list(input.shape), list(indices.shape)))
    size = [(s - 1) * st - 2 * p + k for s, st, p, k in zip(input.shape[-2:], stride, pad, kernel)]
    if output_size is not None:
        size = list(output_size)[-2:]
    out = _ops.zeros(input.shape[:-2] + (size[0] * size[1],), dtype=input.dtype, device=input.device)
    return out.scatter(-1, indices.flatten(-2), input.flatten(-2)).unflatten(-1, size)


def channel_shuffle(input, groups):
    if groups < 1 or input.dim() < 3 or input.shape[1] % groups:
        raise RuntimeError("channel_shuffle: %s channels cannot be shuffled in %d groups" % (tuple(input.shape), groups))
    return input.unflatten(1, (groups, input.shape[1] // groups)).transpose(1, 2).flatten(1, 2)


def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    return _ops.col2im(input, output_size, kernel_size, dilation, padding, stride)
