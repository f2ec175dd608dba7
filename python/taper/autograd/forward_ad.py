"""Forward-mode differentiation does not exist here."""


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    from .._absent import Absent

    raise Absent("torch.autograd.forward_ad.%s: taper has reverse mode only" % name)
