"""Distributions over tensors: sample, log_prob, entropy."""
import math

from .. import _C

_ops = _C.ops


def _broadcast(*values):
    tensors = [v if isinstance(v, _C.Tensor) else _ops.tensor(float(v)) for v in values]
    from ..composites import broadcast_shapes

    shape = broadcast_shapes(*(t.shape for t in tensors))
    return [t.expand(shape) for t in tensors]


class Distribution:
    """batch_shape: independent distributions; event_shape: one draw."""

    has_rsample = False
    _validate_args = True

    def __init__(self, batch_shape=(), event_shape=(), validate_args=None):
        self._batch_shape, self._event_shape = _C.Size(tuple(batch_shape)), _C.Size(tuple(event_shape))

    @staticmethod
    def set_default_validate_args(value):
        Distribution._validate_args = value

    batch_shape = property(lambda self: self._batch_shape)
    event_shape = property(lambda self: self._event_shape)

    def _extended_shape(self, sample_shape=()):
        return tuple(sample_shape) + tuple(self._batch_shape) + tuple(self._event_shape)

    def sample(self, sample_shape=()):
        previous = _C.set_grad_enabled(False)
        try:
            return self.rsample(sample_shape)
        finally:
            _C.set_grad_enabled(previous)

    def rsample(self, sample_shape=()):
        raise NotImplementedError

    def sample_n(self, n):
        return self.sample((n,))

    def log_prob(self, value):
        raise NotImplementedError

    def entropy(self):
        raise NotImplementedError

    def perplexity(self):
        return self.entropy().exp()

    @property
    def stddev(self):
        return self.variance.sqrt()

    def __repr__(self):
        parts = []
        for name in self._shown:
            v = getattr(self, name)
            parts.append("%s: %s" % (name, v if v.numel() == 1 else v.size()))
        return "%s(%s)" % (type(self).__name__, ", ".join(parts))


class Categorical(Distribution):
    def __init__(self, probs=None, logits=None, validate_args=None):
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        given = probs if probs is not None else logits
        if given.dim() < 1:
            raise ValueError("`%s` parameter must be at least one-dimensional." % ("probs" if probs is not None else "logits"))
        if probs is not None:
            if self._validate_args and bool((probs < 0).any()):
                raise ValueError("Expected parameter probs (%s of shape %s) of distribution Categorical to satisfy the constraint Simplex(), "
                                 "but found invalid values:\n%s" % (type(probs).__name__, tuple(probs.shape), probs))
            self.probs = probs / probs.sum(-1, keepdim=True)
            self._logits = None
            self._shown = ("probs",)
        else:
            if self._validate_args and bool((logits != logits).any()):
                raise ValueError("Expected parameter logits (%s of shape %s) of distribution Categorical to satisfy the constraint "
                                 "IndependentConstraint(Real(), 1), but found invalid values:\n%s"
                                 % (type(logits).__name__, tuple(logits.shape), logits))
            self._logits = logits - logits.logsumexp(-1, keepdim=True)
            self.probs = _ops.softmax(self._logits, -1)
            self._shown = ("logits",)
        self._num_events = given.shape[-1]
        super().__init__(given.shape[:-1])

    @property
    def logits(self):
        if self._logits is None:
            eps = 2.0**-23 if self.probs.dtype != _C.float64 else 2.0**-52
            self._logits = self.probs.clamp(min=eps, max=1 - eps).log()
        return self._logits

    @property
    def param_shape(self):
        return self.probs.shape

    @property
    def mode(self):
        return self.probs.argmax(-1)

    def sample(self, sample_shape=()):
        flat = self.probs.detach().reshape(-1, self._num_events)
        n = 1
        for s in tuple(sample_shape):
            n *= s
        return _ops.multinomial(flat, n, True).t().reshape(self._extended_shape(sample_shape))

    def log_prob(self, value):
        value = value.long().unsqueeze(-1)
        from ..composites import broadcast_tensors

        value, logits = broadcast_tensors(value, self.logits)
        return logits.gather(-1, value[..., :1]).squeeze(-1)

    def entropy(self):
        low = -3.4028234663852886e38 if self.probs.dtype == _C.float32 else -1.7976931348623157e308
        return -(self.logits.clamp(min=low) * self.probs).sum(-1)

    def enumerate_support(self, expand=True):
        values = _ops.arange(self._num_events, device=self.probs.device).reshape((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1,) + tuple(self._batch_shape)) if expand else values


class Normal(Distribution):
    has_rsample = True
    _shown = ("loc", "scale")

    def __init__(self, loc, scale, validate_args=None):
        self.loc, self.scale = _broadcast(loc, scale)
        if self._validate_args and not bool((self.scale > 0).all()):
            raise ValueError("Expected parameter scale (%s of shape %s) of distribution Normal to satisfy the constraint "
                             "GreaterThan(lower_bound=0.0), but found invalid values:\n%s"
                             % (type(self.scale).__name__, tuple(self.scale.shape), self.scale))
        super().__init__(() if not isinstance(loc, _C.Tensor) and not isinstance(scale, _C.Tensor) else self.loc.shape)

    mean = mode = property(lambda self: self.loc)
    stddev = property(lambda self: self.scale)
    variance = property(lambda self: self.scale.pow(2))

    def sample(self, sample_shape=()):
        shape = self._extended_shape(sample_shape)
        previous = _C.set_grad_enabled(False)
        try:
            return _ops.normal(self.loc.expand(shape), self.scale.expand(shape))
        finally:
            _C.set_grad_enabled(previous)

    def rsample(self, sample_shape=()):
        shape = self._extended_shape(sample_shape)
        return self.loc + _ops.randn(shape, dtype=self.loc.dtype, device=self.loc.device) * self.scale

    def log_prob(self, value):
        return -((value - self.loc) ** 2) / (2 * self.scale**2) - self.scale.log() - math.log(math.sqrt(2 * math.pi))

    def entropy(self):
        return 0.5 + 0.5 * math.log(2 * math.pi) + self.scale.log()

    def cdf(self, value):
        return 0.5 * (1 + _ops.erf((value - self.loc) * self.scale.reciprocal() / math.sqrt(2)))


class Bernoulli(Distribution):
    def __init__(self, probs=None, logits=None, validate_args=None):
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        given = probs if probs is not None else logits
        scalar = not isinstance(given, _C.Tensor)
        (given,) = _broadcast(given)
        if probs is not None:
            self.probs, self._logits, self._shown = given, None, ("probs",)
        else:
            self.probs, self._logits, self._shown = given.sigmoid(), given, ("logits",)
        super().__init__(() if scalar else given.shape)

    @property
    def logits(self):
        if self._logits is None:
            p = self.probs.clamp(min=2.0**-23, max=1 - 2.0**-23)
            self._logits = p.log() - (1 - p).log()
        return self._logits

    mean = property(lambda self: self.probs)
    variance = property(lambda self: self.probs * (1 - self.probs))

    def sample(self, sample_shape=()):
        return _ops.bernoulli(self.probs.detach().expand(self._extended_shape(sample_shape)))

    def log_prob(self, value):
        return -_ops.binary_cross_entropy_with_logits(*_broadcast(self.logits, value), reduction="none")

    def entropy(self):
        return _ops.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")


class Uniform(Distribution):
    has_rsample = True
    _shown = ("low", "high")

    def __init__(self, low, high, validate_args=None):
        self.low, self.high = _broadcast(low, high)
        super().__init__(self.low.shape)

    mean = property(lambda self: (self.high + self.low) / 2)
    variance = property(lambda self: (self.high - self.low).pow(2) / 12)

    def rsample(self, sample_shape=()):
        shape = self._extended_shape(sample_shape)
        return self.low + _ops.rand(shape, dtype=self.low.dtype, device=self.low.device) * (self.high - self.low)

    def log_prob(self, value):
        inside = (self.low <= value) & (value < self.high)
        return inside.to(self.low.dtype).log() - (self.high - self.low).log()

    def entropy(self):
        return (self.high - self.low).log()


class Exponential(Distribution):
    has_rsample = True
    _shown = ("rate",)

    def __init__(self, rate, validate_args=None):
        (self.rate,) = _broadcast(rate)
        super().__init__(self.rate.shape)

    mean = property(lambda self: self.rate.reciprocal())
    variance = property(lambda self: self.rate.pow(-2))

    def rsample(self, sample_shape=()):
        return _ops.empty(self._extended_shape(sample_shape), dtype=self.rate.dtype, device=self.rate.device).exponential_() / self.rate

    def log_prob(self, value):
        return self.rate.log() - self.rate * value

    def entropy(self):
        return 1.0 - self.rate.log()


class Independent(Distribution):
    """The last batch dimensions of a distribution taken as one event."""

    def __init__(self, base_distribution, reinterpreted_batch_ndims, validate_args=None):
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, reinterpreted_batch_ndims
        shape = tuple(base_distribution.batch_shape)
        n = len(shape) - reinterpreted_batch_ndims
        super().__init__(shape[:n], shape[n:] + tuple(base_distribution.event_shape))

    def _sum(self, x):
        for _ in range(self.reinterpreted_batch_ndims):
            x = x.sum(-1)
        return x

    mean = property(lambda self: self.base_dist.mean)
    variance = property(lambda self: self.base_dist.variance)

    def sample(self, sample_shape=()):
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape=()):
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value):
        return self._sum(self.base_dist.log_prob(value))

    def entropy(self):
        return self._sum(self.base_dist.entropy())

    def __repr__(self):
        return "Independent(%s, %s)" % (self.base_dist, self.reinterpreted_batch_ndims)
