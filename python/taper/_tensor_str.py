"""torch._tensor_str: printing options."""
from . import _C

_PROFILES = {"default": (4, 1000, 3, 80), "short": (2, 1000, 2, 80), "full": (4, 2**62, 3, 80)}


class _Options:
    precision, threshold, edgeitems, linewidth, sci_mode = 4, 1000, 3, 80, None


PRINT_OPTS = _Options()


def set_printoptions(precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None, sci_mode=None):
    o = PRINT_OPTS
    if profile is not None:
        if profile not in _PROFILES:
            raise ValueError("profile must be one of default, short, full, got %r" % (profile,))
        o.precision, o.threshold, o.edgeitems, o.linewidth = _PROFILES[profile]
    if precision is not None:
        o.precision = precision
    if threshold is not None:
        o.threshold = 2**62 if threshold == float("inf") else int(threshold)
    if edgeitems is not None:
        o.edgeitems = edgeitems
    if linewidth is not None:
        o.linewidth = linewidth
    o.sci_mode = sci_mode
    _C.set_printoptions(precision=o.precision, threshold=o.threshold, edgeitems=o.edgeitems, linewidth=o.linewidth, sci_mode=sci_mode)


def get_printoptions():
    return {k: getattr(PRINT_OPTS, k) for k in ("precision", "threshold", "edgeitems", "linewidth", "sci_mode")}
