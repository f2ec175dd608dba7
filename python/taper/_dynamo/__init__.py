"""torch._dynamo: there is no tracer; the names that scripts set or call before compiling are here."""
from types import SimpleNamespace as _Bag

from ..compiler import OptimizedModule as _OptimizedModule
from ..compiler import allow_in_graph, assume_constant_result, disable, is_compiling, reset
from . import config


def optimize(backend="inductor", **kwargs):
    from ..compiler import compile

    return compile


def list_backends(exclude_tags=()):
    return ["inductor"]


def mark_dynamic(t, index, **kwargs):
    pass


def mark_static(t, index=None):
    pass


def disallow_in_graph(fn):
    return fn


def graph_break(msg=""):
    pass


def explain(f, *args, **kwargs):
    raise NotImplementedError("torch._dynamo.explain: taper has no tracer to explain")


def export(f, *args, **kwargs):
    raise NotImplementedError("torch._dynamo.export: taper has no tracer to export with")


eval_frame = _Bag(OptimizedModule=_OptimizedModule)
utils = _Bag(is_compile_supported=lambda device_type: True, counters={})
