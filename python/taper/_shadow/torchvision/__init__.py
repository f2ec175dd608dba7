"""A small stand-in for torchvision, seen by programs that run under taper: the data sets, transforms and image writing of the
tutorials. torchvision's own binaries are compiled against libtorch and cannot be loaded here."""
__version__ = "0.22.0+taper"
__taper_shadow__ = True


class Absent(NotImplementedError, AttributeError):
    pass


def __getattr__(name):
    if name in ("datasets", "transforms", "utils", "image"):
        from importlib import import_module

        module = globals()[name] = import_module("." + name, __package__)
        return module
    raise Absent("torchvision.%s: under taper there are torchvision.datasets, .transforms and .utils; for models and operators run with "
                 "PyTorch" % name)
