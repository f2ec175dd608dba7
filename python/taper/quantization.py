"""torch.quantization: Quantisation is not part of taper."""


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    from ._absent import Absent

    raise Absent("torch.quantization.%s: Quantisation is not part of taper" % name)
