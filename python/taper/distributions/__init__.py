"""torch.distributions: the few that training loops use."""
from .distribution import Bernoulli, Categorical, Distribution, Exponential, Independent, Normal, Uniform
from .divergence import kl_divergence

__all__ = ["Bernoulli", "Categorical", "Distribution", "Exponential", "Independent", "Normal", "Uniform", "kl_divergence"]


def __getattr__(name):
    if name[:1].isupper():
        from .._absent import Absent

        raise Absent("torch.distributions.%s is not part of taper; there are %s" % (name, ", ".join(__all__)))
    if name in ("categorical", "normal", "bernoulli", "uniform"):
        from . import distribution

        return distribution
    raise AttributeError(name)
