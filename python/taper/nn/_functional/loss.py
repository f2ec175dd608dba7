"""Losses, with the old size_average and reduce keywords."""
from ... import _C

_ops = _C.ops
_WORDS = ("none", "mean", "sum")
_REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}


def _legacy(size_average, reduce):
    import warnings

    size_average = True if size_average is None else size_average
    reduce = True if reduce is None else reduce
    word = ("mean" if size_average else "sum") if reduce else "none"
    warnings.warn("size_average and reduce args will be deprecated, please use reduction='%s' instead." % word, stacklevel=4)
    return word


def _number(reduction, size_average=None, reduce=None):
    if size_average is not None or reduce is not None:
        reduction = _legacy(size_average, reduce)
    number = _REDUCTIONS.get(reduction)
    if number is None:
        if reduction == "elementwise_mean":
            import warnings

            warnings.warn("reduction='elementwise_mean' is deprecated, please use reduction='mean' instead.")
            return 1
        raise ValueError("%s is not a valid value for reduction" % (reduction,))
    return number


def _reduced(loss, number):
    return loss if number == 0 else (loss.mean() if number == 1 else loss.sum())


def _warn_size(name, input, target):
    if input.shape != target.shape:
        import warnings

        warnings.warn("Using a target size (%s) that is different to the input size (%s). This will likely lead to incorrect results due to "
                      "broadcasting. Please ensure they have the same size." % (target.size(), input.size()), stacklevel=3)


def cross_entropy(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean",
                  label_smoothing=0.0):
    return _ops.cross_entropy(input, target, weight=weight, reduction=_WORDS[_number(reduction, size_average, reduce)], ignore_index=ignore_index,
                              label_smoothing=label_smoothing)


def nll_loss(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
    return _ops.nll_loss(input, target, weight=weight, reduction=_WORDS[_number(reduction, size_average, reduce)], ignore_index=ignore_index)


def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    _warn_size("mse_loss", input, target)
    number = _number(reduction, size_average, reduce)
    if weight is None:
        return _ops.mse_loss(input, target, reduction=_WORDS[number])
    if number == 1:
        return (weight * (input - target) ** 2).sum() / weight.sum()
    return _reduced(weight * (input - target) ** 2, number)


def l1_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    _warn_size("l1_loss", input, target)
    return _ops.l1_loss(input, target, reduction=_WORDS[_number(reduction, size_average, reduce)])


def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0):
    _warn_size("smooth_l1_loss", input, target)
    number = _number(reduction, size_average, reduce)
    if beta == 0.0:
        return _ops.l1_loss(input, target, reduction=_WORDS[number])
    return _ops.smooth_l1_loss(input, target, reduction=_WORDS[number], beta=beta)


def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    _warn_size("huber_loss", input, target)
    d = (input - target).abs()
    loss = _ops.where(d <= delta, 0.5 * d * d, delta * (d - 0.5 * delta))
    return _reduced(loss if weight is None else loss * weight, _number(reduction))


def binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    number = _number(reduction, size_average, reduce)
    if target.shape != input.shape:
        raise ValueError("Using a target size (%s) that is different to the input size (%s) is deprecated. Please ensure they have the same "
                         "size." % (target.size(), input.size()))
    return _ops.binary_cross_entropy(input, target, weight=weight, reduction=_WORDS[number])


def binary_cross_entropy_with_logits(input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None):
    number = _number(reduction, size_average, reduce)
    if target.shape != input.shape:
        raise ValueError("Target size (%s) must be the same as input size (%s)" % (target.size(), input.size()))
    return _ops.binary_cross_entropy_with_logits(input, target, weight=weight, pos_weight=pos_weight, reduction=_WORDS[number])


def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    if reduction == "mean":
        import warnings

        warnings.warn("reduction: 'mean' divides the total loss by both the batch size and the support size.'batchmean' divides only by the "
                      "batch size, and aligns with the KL div math definition.'mean' will be changed to behave the same as 'batchmean' in "
                      "the next major release.")
    batchmean = reduction == "batchmean"
    number = 2 if batchmean else _number(reduction, size_average, reduce)
    if log_target:
        loss = target.exp() * (target - input)
    else:
        loss = _ops.where(target > 0, target * target.clamp(min=1e-45).log(), target * 0) - target * input
    loss = _reduced(loss, number)
    return loss / input.size(0) if batchmean and input.dim() != 0 else loss


def poisson_nll_loss(input, target, log_input=True, full=False, size_average=None, eps=1e-8, reduce=None, reduction="mean"):
    number = _number(reduction, size_average, reduce)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * 3.141592653589793 * target).log()
        loss = loss + stirling.masked_fill(target <= 1, 0)
    return _reduced(loss, number)


def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    if isinstance(var, float):
        var = var * _ops.ones_like(input)
    if (var < 0).any():
        raise ValueError("var has negative entry/entries")
    var = var + (var.detach().clamp(min=eps) - var.detach())
    loss = 0.5 * (var.log() + (input - target) ** 2 / var)
    if full:
        loss = loss + 0.9189385332046727
    return _reduced(loss, _number(reduction))


def hinge_embedding_loss(input, target, margin=1.0, size_average=None, reduce=None, reduction="mean"):
    zero = _ops.zeros_like(input)
    loss = _ops.where(target != 1, (margin - input).clamp(min=0), zero) + _ops.where(target != -1, input, zero)
    return _reduced(loss, _number(reduction, size_average, reduce))


def margin_ranking_loss(input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"):
    return _reduced((-target * (input1 - input2) + margin).clamp(min=0), _number(reduction, size_average, reduce))


def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    return _reduced((1 + (-target * input).exp()).log(), _number(reduction, size_average, reduce))


def multilabel_soft_margin_loss(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    loss = _ops.softplus(-input) * target + _ops.softplus(input) * (1 - target)
    if weight is not None:
        loss = loss * weight
    return _reduced(loss.mean(-1), _number(reduction, size_average, reduce))


def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    n1, n2 = x1.norm(2, dim, keepdim=True), x2.norm(2, dim, keepdim=True)
    return ((x1 / n1.clamp(min=eps)) * (x2 / n2.clamp(min=eps))).sum(dim)


def cosine_embedding_loss(input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"):
    # The square roots are of products plus a small number, as torch computes this loss.
    dot = (input1 * input2).sum(-1)
    cos = dot / (((input1 * input1).sum(-1) + 1e-8) * ((input2 * input2).sum(-1) + 1e-8)).sqrt()
    zero = _ops.zeros_like(cos)
    loss = _ops.where(target == 1, 1 - cos, zero) + _ops.where(target == -1, (cos - margin).clamp(min=0), zero)
    return _reduced(loss, _number(reduction, size_average, reduce))


def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    return (x1 - x2 + eps).norm(p, -1, keepdim=keepdim)


def triplet_margin_loss(anchor, positive, negative, margin=1.0, p=2, eps=1e-6, swap=False, size_average=None, reduce=None,
                        reduction="mean"):
    number = _number(reduction, size_average, reduce)
    if margin <= 0:
        raise ValueError("margin must be greater than 0, got %s" % margin)
    near, far = pairwise_distance(anchor, positive, p, eps), pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = _ops.minimum(far, pairwise_distance(positive, negative, p, eps))
    return _reduced((margin + near - far).clamp(min=0), number)


def multi_margin_loss(input, target, p=1, margin=1.0, weight=None, size_average=None, reduce=None, reduction="mean"):
    number = _number(reduction, size_average, reduce)
    if input.dim() == 1:
        return multi_margin_loss(input.unsqueeze(0), target.reshape(1), p, margin, weight, reduction=reduction)
    index = target.unsqueeze(1)
    loss = (margin - input.gather(1, index) + input).clamp(min=0) ** p
    if weight is not None:
        loss = loss * weight[target].unsqueeze(1)
    loss = loss.scatter(1, index, 0.0).sum(1) / input.size(1)
    return _reduced(loss, number)


def ctc_loss(*args, **kwargs):
    raise NotImplementedError("torch.nn.functional.ctc_loss is not one of taper's operators")
