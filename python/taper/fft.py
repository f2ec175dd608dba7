"""torch.fft: Fourier transforms are not part of taper."""


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    from ._absent import Absent

    raise Absent("torch.fft.%s: Fourier transforms are not part of taper" % name)
