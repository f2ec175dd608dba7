"""Makes `import torch` mean taper, in this process and in the ones it starts.

One identity: `torch.nn` and `taper.nn` are the same module object. Classes made after install() carry torch's module paths, so that
pickles and printed types look as they do with PyTorch. Child processes find `torch` through PYTHONPATH: the folder _shadow holds a
package `torch` whose import calls install(); this works for spawned workers, for subprocess, and for notebook kernels alike.
"""
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder

_HOME = os.path.dirname(os.path.abspath(__file__))
SHADOW = os.path.join(_HOME, "_shadow")


class _SameModule:
    """Loader that hands out an already imported module under a second name."""

    def __init__(self, module):
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec):
        return self.module

    def exec_module(self, module):
        module.__spec__ = self.spec


class _NamedLoader:
    """The ordinary loader, but the module runs with __name__ "torch.x": that is where its classes take __module__ from."""

    def __init__(self, loader, name):
        self._loader, self._name = loader, name

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        code = self._loader.get_code(module.__name__)
        module.__name__ = self._name
        # Known at once under both names: a later import of the second one must not bind it in its parent again, where a function
        # of the same name may stand (multiprocessing.spawn).
        sys.modules[self._name] = module
        exec(code, module.__dict__)

    def __getattr__(self, name):
        return getattr(self._loader, name)


def _has_binaries(name):
    spec = PathFinder.find_spec(name)
    return spec is not None and any(
        f.endswith(".so") for d in spec.submodule_search_locations or () if os.path.isdir(d) for f in os.listdir(d))


class _Finder:
    """torch[.x] -> the module taper[.x]."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.startswith("torch.") or name == "torch":
            from importlib import import_module

            real = "taper" + name[5:]
            try:
                module = import_module(real)
            except ModuleNotFoundError as error:
                if error.name != real:
                    raise
                return None
            spec = ModuleSpec(name, _SameModule(module), origin=getattr(module, "__file__", None),
                              is_package=hasattr(module, "__path__"))
            if spec.submodule_search_locations is not None:
                spec.submodule_search_locations = list(module.__path__)
            return spec
        if name.startswith("taper.") and path is not None:
            spec = PathFinder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None and getattr(spec.origin, "endswith", lambda s: False)(".py"):
                spec.loader = _NamedLoader(spec.loader, "torch" + name[5:])
            return spec
        if name in ("torchvision", "torchaudio", "torchtext") and path is None and _has_binaries(name):
            raise ImportError(
                "%s: its binaries are compiled against libtorch and cannot be loaded under taper, which stands in for torch here. "
                "Read the data with numpy or PIL, or run the script with PyTorch." % name, name=name)
        return None


def _rename(module, real, name):
    """For modules imported before install(): their classes and functions move to the torch path."""
    module.__name__ = name
    for value in list(vars(module).values()):
        if isinstance(value, type) or callable(value):
            try:
                if value.__module__ == real:
                    value.__module__ = name
            except (AttributeError, TypeError):
                pass


def installed():
    return any(f is _Finder for f in sys.meta_path)


def install(children=True):
    """`import torch` means taper from now on. An already imported real torch is an error: two engines would mix."""
    import taper

    if installed():
        return taper
    present = sys.modules.get("torch")
    if present is not None and present is not taper and not getattr(present, "__taper_shadow__", False):
        raise ImportError("taper: cannot stand in for torch, real torch is already imported from %s"
                          % getattr(present, "__file__", "?"))
    sys.meta_path.insert(0, _Finder)
    for real, module in list(sys.modules.items()):
        if (real == "taper" or real.startswith("taper.")) and real not in ("taper.__main__", "taper._alias") and module is not None:
            name = "torch" + real[5:]
            sys.modules[name] = module
            if real != "taper._C":
                _rename(module, real, name)
    if children:
        _tell_children()
    return taper


def _tell_children():
    """PYTHONPATH and sys.path get the shadow folder; sys.path too because spawn copies it over the child's."""
    parts = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    if SHADOW not in parts:
        os.environ["PYTHONPATH"] = os.pathsep.join([SHADOW] + parts)
    if SHADOW not in sys.path:
        sys.path.insert(1, SHADOW)
