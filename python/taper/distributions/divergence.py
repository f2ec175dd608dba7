"""Kullback-Leibler divergence between two distributions of the same kind."""
from .distribution import Bernoulli, Categorical, Normal


def kl_divergence(p, q):
    if isinstance(p, Normal) and isinstance(q, Normal):
        ratio = (p.scale / q.scale).pow(2)
        return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).pow(2) - 1 - ratio.log())
    if isinstance(p, Categorical) and isinstance(q, Categorical):
        return (p.probs * (p.logits - q.logits)).sum(-1)
    if isinstance(p, Bernoulli) and isinstance(q, Bernoulli):
        from .. import _C

        softplus = _C.ops.softplus
        first = p.probs * (softplus(-q.logits) - softplus(-p.logits))
        return first + (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    raise NotImplementedError("No KL(p || q) is implemented for p type %s and q type %s" % (type(p).__name__, type(q).__name__))
