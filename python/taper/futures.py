"""torch.futures: Futures are not part of taper."""


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    from ._absent import Absent

    raise Absent("torch.futures.%s: Futures are not part of taper" % name)
