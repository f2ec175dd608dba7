"""torch.nn.Module: how attributes become parameters, buffers and children; calls; printing; copies."""
from collections import OrderedDict, namedtuple

from ... import _C
from ..parameter import Buffer, Parameter
from ._hooks import (Hooks, any_global_hooks as _any_global_hooks, global_registration, register_module_backward_hook, register_module_buffer_registration_hook,
                     register_module_forward_hook, register_module_forward_pre_hook, register_module_full_backward_hook,
                     register_module_full_backward_pre_hook, register_module_module_registration_hook,
                     register_module_parameter_registration_hook)
from ._members import Members
from ._state import _EXTRA_STATE_KEY_SUFFIX, State, _IncompatibleKeys

__all__ = ["Module", "register_module_forward_pre_hook", "register_module_forward_hook", "register_module_full_backward_pre_hook",
           "register_module_backward_hook", "register_module_full_backward_hook", "register_module_buffer_registration_hook",
           "register_module_module_registration_hook", "register_module_parameter_registration_hook"]

_Tensor = _C.Tensor
_set = object.__setattr__
_global_parameter_hooks = global_registration["parameter"]
_global_module_hooks = global_registration["module"]
_global_buffer_hooks = global_registration["buffer"]


def _addindent(text, spaces):
    lines = text.split("\n")
    return "\n".join(lines[:1] + [" " * spaces + line for line in lines[1:]])


def _forward_unimplemented(self, *input):
    raise NotImplementedError('Module [%s] is missing the required "forward" function' % type(self).__name__)


def _class_name(value):
    if isinstance(value, _Tensor):
        return value.type()
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else kind.__module__ + "." + kind.__name__


def _check_name(self, name, kind):
    if not isinstance(name, str):
        raise TypeError("%s name should be a string. Got %s" % (kind, _class_name(name)))
    if "." in name:
        raise KeyError("%s name can't contain \".\"%s" % (kind, ", got: " + name if kind == "module" else ""))
    if name == "":
        raise KeyError("%s name can't be empty string \"\"" % kind)


class Module(Hooks, State, Members):
    """Base of all networks: assign layers and Parameters to attributes, define forward()."""

    dump_patches = False
    _version = 1
    training = True
    call_super_init = False
    _compiled_call_impl = None

    def __init__(self, *args, **kwargs):
        if not self.call_super_init:
            if kwargs:
                raise TypeError("%s.__init__() got an unexpected keyword argument '%s'" % (type(self).__name__, next(iter(kwargs))))
            if args:
                raise TypeError("%s.__init__() takes 1 positional argument but %d were given" % (type(self).__name__, len(args) + 1))
        d = self.__dict__
        d["training"] = True
        d["_parameters"] = {}
        d["_buffers"] = {}
        d["_non_persistent_buffers_set"] = set()
        d["_backward_pre_hooks"] = OrderedDict()
        d["_backward_hooks"] = OrderedDict()
        d["_is_full_backward_hook"] = None
        d["_forward_hooks"] = OrderedDict()
        d["_forward_hooks_with_kwargs"] = OrderedDict()
        d["_forward_hooks_always_called"] = OrderedDict()
        d["_forward_pre_hooks"] = OrderedDict()
        d["_forward_pre_hooks_with_kwargs"] = OrderedDict()
        d["_state_dict_hooks"] = OrderedDict()
        d["_state_dict_pre_hooks"] = OrderedDict()
        d["_load_state_dict_pre_hooks"] = OrderedDict()
        d["_load_state_dict_post_hooks"] = OrderedDict()
        d["_modules"] = {}
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    forward = _forward_unimplemented

    # ---- registration ----
    def register_buffer(self, name, tensor, persistent=True):
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        _check_name(self, name, "buffer")
        if hasattr(self, name) and name not in self._buffers:
            raise KeyError("attribute '%s' already exists" % name)
        if tensor is not None and not isinstance(tensor, _Tensor):
            raise TypeError("cannot assign '%s' object to buffer '%s' (torch Tensor or None required)" % (_class_name(tensor), name))
        for hook in _global_buffer_hooks.values():
            output = hook(self, name, tensor)
            if output is not None:
                tensor = output
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_parameter(self, name, param):
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        _check_name(self, name, "parameter")
        if hasattr(self, name) and name not in self._parameters:
            raise KeyError("attribute '%s' already exists" % name)
        if param is None:
            self._parameters[name] = None
            return
        if not isinstance(param, Parameter):
            raise TypeError("cannot assign '%s' object to parameter '%s' (torch.nn.Parameter or None required)"
                            % (_class_name(param), name))
        if param.grad_fn:
            raise ValueError("Cannot assign non-leaf Tensor to parameter '{0}'. Model parameters must be created explicitly. To express "
                             "'{0}' as a function of another Tensor, compute the value in the forward() method.".format(name))
        for hook in _global_parameter_hooks.values():
            output = hook(self, name, param)
            if output is not None:
                param = output
        self._parameters[name] = param

    def add_module(self, name, module):
        if not isinstance(module, Module) and module is not None:
            raise TypeError("%s is not a Module subclass" % _class_name(module))
        _check_name(self, name, "module")
        if hasattr(self, name) and name not in self._modules:
            raise KeyError("attribute '%s' already exists" % name)
        for hook in _global_module_hooks.values():
            output = hook(self, name, module)
            if output is not None:
                module = output
        self._modules[name] = module

    def register_module(self, name, module):
        self.add_module(name, module)

    # ---- paths ----
    def _by_path(self, target, what, kind):
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if not hasattr(owner, name):
            raise AttributeError("%s has no attribute `%s`" % (owner._get_name(), name))
        value = getattr(owner, name)
        if not kind(owner, name, value):
            raise AttributeError("`%s` is not %s" % (name, what))
        return value

    def get_submodule(self, target):
        module = self
        for item in target.split(".") if target else ():
            if not hasattr(module, item):
                raise AttributeError("%s has no attribute `%s`" % (module._get_name(), item))
            module = getattr(module, item)
            if not isinstance(module, Module):
                raise AttributeError("`%s` is not an nn.Module" % item)
        return module

    def set_submodule(self, target, module, strict=False):
        if target == "":
            raise ValueError("Cannot set the submodule without a target name!")
        path, _, name = target.rpartition(".")
        setattr(self.get_submodule(path), name, module)

    def get_parameter(self, target):
        return self._by_path(target, "an nn.Parameter", lambda m, n, v: isinstance(v, Parameter))

    def get_buffer(self, target):
        return self._by_path(target, "a buffer", lambda m, n, v: n in m._buffers)

    # ---- attributes ----
    def __getattr__(self, name):
        # Modules first: they are what programs ask for most; the layers here read their parameters directly.
        d = self.__dict__
        members = d.get("_modules")
        if members is not None and name in members:
            return members[name]
        members = d.get("_parameters")
        if members is not None and name in members:
            return members[name]
        members = d.get("_buffers")
        if members is not None and name in members:
            return members[name]
        raise AttributeError("'%s' object has no attribute '%s'" % (type(self).__name__, name))

    def __setattr__(self, name, value):
        d = self.__dict__
        if isinstance(value, _Tensor) and isinstance(value, Parameter):
            if "_parameters" not in d:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, d, "_buffers", "_modules")
            self.register_parameter(name, value)
            return
        params = d.get("_parameters")
        if params is not None and name in params:
            if value is not None:
                raise TypeError("cannot assign '%s' as parameter '%s' (torch.nn.Parameter or None expected)" % (_class_name(value), name))
            self.register_parameter(name, value)
            return
        modules = d.get("_modules")
        if isinstance(value, Module):
            if modules is None:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, d, "_parameters", "_buffers")
            for hook in _global_module_hooks.values():
                output = hook(self, name, value)
                if output is not None:
                    value = output
            modules[name] = value
            return
        if modules is not None and name in modules:
            if value is not None:
                raise TypeError("cannot assign '%s' as child module '%s' (torch.nn.Module or None expected)" % (_class_name(value), name))
            modules[name] = None
            return
        buffers = d.get("_buffers")
        if buffers is not None and (name in buffers or (isinstance(value, _Tensor) and isinstance(value, Buffer))):
            if value is not None and not isinstance(value, _Tensor):
                raise TypeError("cannot assign '%s' as buffer '%s' (torch.nn.Buffer, torch.Tensor or None expected)"
                                % (_class_name(value), name))
            if name in buffers:
                for hook in _global_buffer_hooks.values():
                    output = hook(self, name, value)
                    if output is not None:
                        value = output
                buffers[name] = value
            else:
                self._forget(name, d, "_parameters", "_modules")
                self.register_buffer(name, value, persistent=value.persistent)
            return
        _set(self, name, value)

    def _forget(self, name, d, *kinds):
        """A name belongs to one table only: the newest assignment wins."""
        d.pop(name, None)
        for kind in kinds:
            table = d.get(kind)
            if table is not None and name in table:
                del table[name]
                if kind == "_buffers":
                    d["_non_persistent_buffers_set"].discard(name)

    def __delattr__(self, name):
        if name in self._parameters:
            del self._parameters[name]
        elif name in self._buffers:
            del self._buffers[name]
            self._non_persistent_buffers_set.discard(name)
        elif name in self._modules:
            del self._modules[name]
        else:
            object.__delattr__(self, name)

    # ---- calls ----
    def __call__(self, *args, **kwargs):
        d = self.__dict__
        if (d["_forward_hooks"] or d["_forward_pre_hooks"] or d["_backward_hooks"] or d["_backward_pre_hooks"] or _any_global_hooks
                or "_compiled_call_impl" in d):
            if self._compiled_call_impl is not None:
                return self._compiled_call_impl(*args, **kwargs)
            return self._call_impl(*args, **kwargs)
        return self.forward(*args, **kwargs)

    _wrapped_call_impl = __call__

    def compile(self, *args, **kwargs):
        """Module.compile(): calls go through what torch.compile makes of them."""
        from ...compiler import compile

        self._compiled_call_impl = compile(self._call_impl, *args, **kwargs)

    # ---- copies and pickles ----
    def __getstate__(self):
        state = self.__dict__.copy()
        state.pop("_compiled_call_impl", None)
        return state

    def __setstate__(self, state):
        d = self.__dict__
        d.update(state)
        for name in ("_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_forward_hooks_with_kwargs", "_forward_hooks_always_called",
                     "_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
                     "_backward_pre_hooks", "_forward_hooks", "_backward_hooks"):
            if name not in d:
                d[name] = OrderedDict()
        if "_non_persistent_buffers_set" not in d:
            d["_non_persistent_buffers_set"] = set()
        if "_is_full_backward_hook" not in d:
            d["_is_full_backward_hook"] = None

    # ---- text ----
    def _get_name(self):
        return type(self).__name__

    def extra_repr(self):
        return ""

    def __repr__(self):
        extra = self.extra_repr()
        extra_lines = extra.split("\n") if extra else []
        children = ["(%s): %s" % (key, _addindent(repr(module), 2)) for key, module in self._modules.items()]
        lines = extra_lines + children
        text = self._get_name() + "("
        if lines:
            if len(extra_lines) == 1 and not children:
                text += extra_lines[0]
            else:
                text += "\n  " + "\n  ".join(lines) + "\n"
        return text + ")"
