"""Old names of torch.amp for GPUs; each says what to write instead."""
from functools import partial

from ... import _C
from ...amp import autocast_mode as _a
from ...amp import grad_scaler as _g

__all__ = ["autocast", "custom_bwd", "custom_fwd", "GradScaler"]


def _old(name, args):
    import warnings

    warnings.warn("`torch.cuda.amp.%s(args...)` is deprecated. Please use `torch.amp.%s('cuda', args...)` instead." % (name, args),
                  FutureWarning, stacklevel=3)


class autocast(_a.autocast):
    def __init__(self, enabled=True, dtype=_C.float16, cache_enabled=True):
        _old("autocast", "autocast")
        super().__init__("cuda", enabled=enabled, dtype=dtype, cache_enabled=cache_enabled)


class GradScaler(_g.GradScaler):
    def __init__(self, init_scale=2.0**16, growth_factor=2.0, backoff_factor=0.5, growth_interval=2000, enabled=True):
        _old("GradScaler", "GradScaler")
        super().__init__("cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled)


custom_fwd = partial(_a.custom_fwd, device_type="cuda")
custom_bwd = partial(_a.custom_bwd, device_type="cuda")
