"""Settings of a compiler that is not here: any name can be set and read."""
import sys
import types


class _Settings(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return None


class _Nested:
    pass


triton = _Nested()
cuda = _Nested()
cpp = _Nested()
trace = _Nested()
suppress_errors = False
verbose = False
cache_size_limit = 8
sys.modules["taper" + __name__[5:]].__class__ = _Settings
