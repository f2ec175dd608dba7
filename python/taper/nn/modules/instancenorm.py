"""Instance normalisation."""
from .. import functional as F
from .batchnorm import _NormBase

__all__ = ["InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"]


class _InstanceNorm(_NormBase):
    dims = None  # of a single sample with its channel

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=False, track_running_stats=False, device=None, dtype=None):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype)

    def _normalised(self, input):
        return F.instance_norm(input, self.running_mean, self.running_var, self.weight, self.bias,
                               self.training or not self.track_running_stats, 0.0 if self.momentum is None else self.momentum, self.eps)

    def forward(self, input):
        n = self.dims
        if input.dim() not in (n, n + 1):
            raise ValueError("expected %dD or %dD input (got %dD input)" % (n, n + 1, input.dim()))
        channel = input.dim() - n
        if input.size(channel) != self.num_features:
            if self.affine:
                raise ValueError("expected input's size at dim=%d to match num_features (%d), but got: %d."
                                 % (channel, self.num_features, input.size(channel)))
        if input.dim() == n:
            return self._normalised(input.unsqueeze(0)).squeeze(0)
        return self._normalised(input)


class InstanceNorm1d(_InstanceNorm):
    dims = 2


class InstanceNorm2d(_InstanceNorm):
    dims = 3


class InstanceNorm3d(_InstanceNorm):
    dims = 4
