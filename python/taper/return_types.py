"""torch.return_types: the named results of operators with several."""
from . import _C

_made = {}


def make(name, fields):
    """The type for results that are put together in Python: a tuple with names."""
    if name not in _made:
        space = {f: property(lambda self, i=i: self[i]) for i, f in enumerate(fields)}
        space.update(__slots__=(), __module__="torch.return_types", __repr__=_repr, _fields=tuple(fields))
        _made[name] = type(name, (tuple,), space)
    return _made[name]


def _repr(self):
    return "torch.return_types.%s(\n%s)" % (type(self).__name__, ",\n".join("%s=%r" % pair for pair in zip(self._fields, self)))


def __getattr__(name):
    value = None if name.startswith("__") else _C.return_type(name) or _made.get(name)
    if value is None:
        raise AttributeError("module 'torch.return_types' has no attribute '%s'" % name)
    return value
