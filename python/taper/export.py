"""torch.export: Export is not part of taper."""


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    from ._absent import Absent

    raise Absent("torch.export.%s: Export is not part of taper" % name)
