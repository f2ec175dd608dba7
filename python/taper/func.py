"""torch.func: Function transforms (vmap, jvp) are not part of taper."""


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    from ._absent import Absent

    raise Absent("torch.func.%s: Function transforms (vmap, jvp) are not part of taper" % name)
