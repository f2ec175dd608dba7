"""Parametrisations: an attribute computed from other parameters each time it is read."""
from ..modules.container import ModuleDict, ModuleList
from ..modules.module import Module
from ..parameter import Parameter

__all__ = ["ParametrizationList", "register_parametrization", "is_parametrized", "remove_parametrizations"]


class ParametrizationList(ModuleList):
    def __init__(self, modules, original, unsafe=False):
        super().__init__(modules)
        new = original
        for module in reversed(list(self)):
            if hasattr(module, "right_inverse"):
                new = module.right_inverse(new)
        self.is_tensor = not isinstance(new, (tuple, list))
        if self.is_tensor:
            self.original = new if isinstance(new, Parameter) else Parameter(new.detach(), original.requires_grad)
        else:
            self.ntensors = len(new)
            for i, t in enumerate(new):
                setattr(self, "original%d" % i, t if isinstance(t, Parameter) else Parameter(t.detach(), original.requires_grad))

    def forward(self):
        values = (self.original,) if self.is_tensor else tuple(getattr(self, "original%d" % i) for i in range(self.ntensors))
        first, *rest = self._modules.values()
        x = first(*values)
        for module in rest:
            x = module(x)
        return x


def _class_with(module, name):
    """A subclass of the module's class in which `name` is computed."""
    if not getattr(type(module), "_parametrized", False):
        base = type(module)
        module.__class__ = type("Parametrized" + base.__name__, (base,), {"_parametrized": True, "_base": base})

    def read(self):
        return self.parametrizations[name]()

    def write(self, value):
        lists = self.parametrizations[name]
        new = value
        for m in reversed(list(lists)):
            new = m.right_inverse(new)
        for i, t in enumerate((new,) if lists.is_tensor else new):
            getattr(lists, "original" if lists.is_tensor else "original%d" % i).data = t.detach()

    setattr(type(module), name, property(read, write))


def register_parametrization(module, tensor_name, parametrization, *, unsafe=False):
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        module.parametrizations[tensor_name].append(parametrization)
        return module
    original = getattr(module, tensor_name)
    lists = ParametrizationList([parametrization], original, unsafe)
    delattr(module, tensor_name)
    if "parametrizations" not in module._modules:
        module.parametrizations = ModuleDict()
    module.parametrizations[tensor_name] = lists
    _class_with(module, tensor_name)
    return module


def is_parametrized(module, tensor_name=None):
    lists = module._modules.get("parametrizations") if isinstance(module, Module) else None
    if lists is None:
        return False
    return len(lists) > 0 if tensor_name is None else tensor_name in lists


def remove_parametrizations(module, tensor_name, leave_parametrized=True):
    lists = module.parametrizations[tensor_name]
    value = lists().detach() if leave_parametrized or not lists.is_tensor else lists.original.detach()
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    if not len(module.parametrizations):
        delattr(module, "parametrizations")
        module.__class__ = type(module)._base
    setattr(module, tensor_name, Parameter(value))
    return module
