"""torch.xpu: there is no such device here."""


def is_available():
    return False


def device_count():
    return 0


def is_built():
    return False


def manual_seed(seed):
    pass


def manual_seed_all(seed):
    pass


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    from ._absent import Absent

    raise Absent("torch.xpu.%s: taper runs on cpu and cuda" % name)
