"""torch.library and torch.ops: registration of operators. Python functions can be registered and called; nothing is compiled."""
from . import _C
from .autograd.function import Function

_registered = {}


class CustomOp:
    """A function under the name ns::name."""

    def __init__(self, name, fn):
        self.name, self.fn = name, fn
        self.__name__ = name.partition("::")[2]

    def __call__(self, *args, **kwargs):
        return self.fn(*args, **kwargs)

    def register_fake(self, fn=None):
        return fn if fn is not None else (lambda f: f)

    register_kernel = register_vmap = lambda self, *args, **kwargs: (lambda f: f)

    def register_autograd(self, backward, *, setup_context=None):
        forward = self.fn

        class Registered(Function):
            @staticmethod
            def forward(ctx, *args):
                out = forward(*args)
                if setup_context is not None:
                    setup_context(ctx, args, out)
                return out

            @staticmethod
            def backward(ctx, *grads):
                return backward(ctx, *grads)

        self.fn = Registered.apply


def custom_op(name, fn=None, *, mutates_args=(), device_types=None, schema=None):
    def make(f):
        op = _registered[name] = CustomOp(name, f)
        return op

    return make if fn is None else make(fn)


def register_fake(name, func=None, *, lib=None, _stacklevel=1):
    return func if func is not None else (lambda f: f)


register_kernel = impl_abstract = impl = register_vmap = lambda *args, **kwargs: (lambda f: f)


def register_autograd(op, backward, *, setup_context=None, lib=None):
    name = op if isinstance(op, str) else op.name
    if name in _registered:
        _registered[name].register_autograd(backward, setup_context=setup_context)


def define(qualname, schema, *, lib=None, tags=()):
    pass


class Library:
    def __init__(self, ns, kind, dispatch_key=""):
        self.ns, self.kind = ns, kind

    def define(self, schema, alias_analysis="", *, tags=()):
        return schema.partition("(")[0]

    def impl(self, op_name, fn, dispatch_key="", *, with_keyset=False):
        name = op_name if isinstance(op_name, str) else str(op_name)
        _registered.setdefault("%s::%s" % (self.ns, name), CustomOp("%s::%s" % (self.ns, name), fn))

    def _destroy(self):
        pass


class _Overload:
    """torch.ops.aten.add.Tensor: the overload is the operator."""

    def __init__(self, fn, name):
        self._fn, self.__name__ = fn, name

    def __call__(self, *args, **kwargs):
        return self._fn(*args, **kwargs)

    def __getattr__(self, overload):
        if overload.startswith("__"):
            raise AttributeError(overload)
        return self


class _Namespace:
    def __init__(self, name):
        self._name = name

    def __getattr__(self, op):
        found = _registered.get("%s::%s" % (self._name, op))
        if found is not None:
            return found
        if self._name == "aten":
            own = getattr(_C.ops, op, None)
            if own is not None:
                return _Overload(own, op)
        raise AttributeError("'_OpNamespace' '%s' object has no attribute '%s'" % (self._name, op))


class OperatorNamespaces:
    """torch.ops."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        space = _Namespace(name)
        setattr(self, name, space)
        return space

    def load_library(self, path):
        raise NotImplementedError("torch.ops.load_library(%r): the library is compiled against libtorch, which taper is not" % (path,))


class NoClasses:
    """torch.classes."""

    def load_library(self, path):
        raise NotImplementedError("torch.classes.load_library(%r): the library is compiled against libtorch, which taper is not" % (path,))
