"""torch.compile and torch.compiler.

Execution is planned underneath in any case, so compiling keeps the semantics and only wraps: what comes back trains, saves with
PyTorch's `_orig_mod.` prefix, and passes attributes through.
"""
from functools import wraps

from . import _C
from .nn.modules.module import Module

__all__ = ["compile", "disable", "is_compiling", "is_dynamo_compiling", "reset", "allow_in_graph", "list_backends",
           "cudagraph_mark_step_begin", "assume_constant_result", "set_stance"]

_OWN = {"_orig_mod", "_modules", "_parameters", "_buffers"}


class OptimizedModule(Module):
    """A compiled module: the original under `_orig_mod`."""

    def __init__(self, mod):
        super().__init__()
        self._modules["_orig_mod"] = mod
        self.__dict__.pop("training", None)

    def __getattr__(self, name):
        if name == "_orig_mod":
            return self.__dict__["_modules"]["_orig_mod"]
        return getattr(self.__dict__["_modules"]["_orig_mod"], name)

    def __setattr__(self, name, value):
        if name in _OWN or name in type(self).__dict__:
            if name == "_orig_mod":
                self._modules["_orig_mod"] = value
            else:
                super().__setattr__(name, value)
            return
        setattr(self._orig_mod, name, value)

    def __delattr__(self, name):
        delattr(self._orig_mod, name)

    def __call__(self, *args, **kwargs):
        return self._modules["_orig_mod"](*args, **kwargs)

    def forward(self, *args, **kwargs):
        return self._modules["_orig_mod"].forward(*args, **kwargs)

    @property
    def training(self):
        return self._modules["_orig_mod"].training

    @training.setter
    def training(self, mode):
        self._modules["_orig_mod"].training = mode

    def __reduce__(self):
        return OptimizedModule, (self._orig_mod,)

    def __len__(self):
        return len(self._orig_mod)

    def __iter__(self):
        return iter(self._orig_mod)

    def __getitem__(self, key):
        return self._orig_mod[key]


def compile(model=None, *, fullgraph=False, dynamic=None, backend="inductor", mode=None, options=None, disable=False):
    """compile(module or function), or a decorator: @torch.compile, @torch.compile(fullgraph=True)."""
    if mode is not None and options is not None:
        raise RuntimeError("Either mode or options can be specified, but both can't be specified at the same time.")
    if mode is not None and mode not in ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"):
        raise RuntimeError("Unrecognized mode=%s, should be one of: default, reduce-overhead, max-autotune-no-cudagraphs, max-autotune" % mode)
    if model is None:
        return lambda fn: compile(fn, fullgraph=fullgraph, dynamic=dynamic, backend=backend, mode=mode, options=options, disable=disable)
    if disable:
        return model
    if isinstance(model, Module):
        return OptimizedModule(model)
    if not callable(model):
        raise RuntimeError("torch.compile: expected a module or a function, got %s" % type(model).__name__)
    if isinstance(model, type):
        return model

    @wraps(model)
    def compiled(*args, **kwargs):
        return model(*args, **kwargs)

    compiled._torchdynamo_orig_callable = model
    return compiled


def is_compiling():
    return False


def is_dynamo_compiling():
    return False


def is_exporting():
    return False


def reset():
    pass


def list_backends(exclude_tags=("debug", "experimental")):
    return ["inductor"]


def cudagraph_mark_step_begin():
    pass


def disable(fn=None, recursive=True, *, reason=None):
    return (lambda f: f) if fn is None else fn


def allow_in_graph(fn):
    return fn


def assume_constant_result(fn):
    return fn


class set_stance:
    def __init__(self, stance="default", **kwargs):
        pass

    def __enter__(self):
        pass

    def __exit__(self, *exc):
        return False

    def __call__(self, fn):
        return fn
