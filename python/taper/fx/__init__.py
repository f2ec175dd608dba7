"""torch.fx: there is no symbolic tracer. wrap() marks nothing; the rest says so."""


def wrap(fn_or_name):
    return fn_or_name


def _absent(name):
    class Absent:
        def __init__(self, *args, **kwargs):
            raise NotImplementedError("torch.fx.%s: taper has no symbolic tracer" % name)

    Absent.__name__ = Absent.__qualname__ = name
    return Absent


Proxy, Tracer, Graph, GraphModule, Node, Interpreter, Transformer = map(
    _absent, ("Proxy", "Tracer", "Graph", "GraphModule", "Node", "Interpreter", "Transformer"))


def symbolic_trace(root, concrete_args=None):
    raise NotImplementedError("torch.fx.symbolic_trace: taper has no symbolic tracer")


replace_pattern = symbolic_trace
