"""Hooks of modules: registration, and the call of a module that has some."""
from collections import OrderedDict

from ... import _C

_Tensor = _C.Tensor

# Hooks of all modules (torch.nn.modules.module.register_module_*).
global_forward_pre_hooks = OrderedDict()
global_forward_hooks = OrderedDict()
global_forward_hooks_always = OrderedDict()
global_forward_hooks_with_kwargs = OrderedDict()
global_backward_pre_hooks = OrderedDict()
global_backward_hooks = OrderedDict()
any_global_hooks = OrderedDict()  # every hook of the five tables above that concerns calls, so that a call asks once
global_registration = {"module": OrderedDict(), "parameter": OrderedDict(), "buffer": OrderedDict()}


def _global_handle(hooks, hook, *, extra=()):
    handle = _handle(hooks, hook, extra=[*extra, any_global_hooks])
    any_global_hooks[handle.id] = hook
    return handle


def _handle(hooks, hook, *, extra=(), prepend=False):
    from ...utils.hooks import RemovableHandle

    handle = RemovableHandle(hooks, extra_dict=list(extra))
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


class Hooks:
    """Mixed into Module."""

    def register_forward_pre_hook(self, hook, *, prepend=False, with_kwargs=False):
        handle = _handle(self._forward_pre_hooks, hook, extra=[self._forward_pre_hooks_with_kwargs], prepend=prepend)
        if with_kwargs:
            self._forward_pre_hooks_with_kwargs[handle.id] = True
        return handle

    def register_forward_hook(self, hook, *, prepend=False, with_kwargs=False, always_call=False):
        handle = _handle(self._forward_hooks, hook, extra=[self._forward_hooks_with_kwargs, self._forward_hooks_always_called],
                         prepend=prepend)
        if with_kwargs:
            self._forward_hooks_with_kwargs[handle.id] = True
        if always_call:
            self._forward_hooks_always_called[handle.id] = True
        return handle

    def register_full_backward_pre_hook(self, hook, prepend=False):
        return _handle(self._backward_pre_hooks, hook, prepend=prepend)

    def register_backward_hook(self, hook):
        if self._is_full_backward_hook is True:
            raise RuntimeError("Cannot use both regular backward hooks and full backward hooks on a single Module. Please use only one of "
                               "them.")
        self._is_full_backward_hook = False
        return _handle(self._backward_hooks, hook)

    def register_full_backward_hook(self, hook, prepend=False):
        if self._is_full_backward_hook is False:
            raise RuntimeError("Cannot use both regular backward hooks and full backward hooks on a single Module. Please use only one of "
                               "them.")
        self._is_full_backward_hook = True
        return _handle(self._backward_hooks, hook, prepend=prepend)

    def register_state_dict_pre_hook(self, hook):
        return _handle(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook):
        hook._from_public_api = True
        return _handle(self._state_dict_hooks, hook)

    def _register_state_dict_hook(self, hook):
        if getattr(hook, "_from_public_api", False):
            raise RuntimeError("Cannot register the same function as the state dict post hook that was previously registered via "
                               "register_state_dict_post_hook")
        return _handle(self._state_dict_hooks, hook)

    def _register_load_state_dict_pre_hook(self, hook, with_module=False):
        return _handle(self._load_state_dict_pre_hooks, _WithModule(hook, self if with_module else None))

    def register_load_state_dict_pre_hook(self, hook):
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def register_load_state_dict_post_hook(self, hook):
        return _handle(self._load_state_dict_post_hooks, hook)

    def _call_impl(self, *args, **kwargs):
        if not (self._forward_hooks or self._forward_pre_hooks or self._backward_hooks or self._backward_pre_hooks
                or any_global_hooks):
            return self.forward(*args, **kwargs)
        called = set()
        try:
            return self._call_hooked(args, kwargs, called)
        except Exception:
            self._call_always(args, kwargs, called)
            raise

    def _call_always(self, args, kwargs, called):
        """After a failed forward: the hooks that were registered with always_call and have not run."""
        import warnings

        pending = [(i, h, False) for i, h in global_forward_hooks.items() if i in global_forward_hooks_always]
        pending += [(i, h, i in self._forward_hooks_with_kwargs) for i, h in self._forward_hooks.items()
                    if i in self._forward_hooks_always_called]
        for hook_id, hook, with_kwargs in pending:
            if hook_id in called:
                continue
            try:
                hook(self, args, kwargs, None) if with_kwargs else hook(self, args, None)
            except Exception as error:
                warnings.warn("module forward hook with ``always_call=True`` raised an exception that was silenced as another error was "
                              "raised in forward: %s" % error)

    def _call_hooked(self, args, kwargs, called):
        for hook_id, hook in (*global_forward_pre_hooks.items(), *self._forward_pre_hooks.items()):
            if hook_id in self._forward_pre_hooks_with_kwargs:
                result = hook(self, args, kwargs)
                if result is not None:
                    if not (isinstance(result, tuple) and len(result) == 2):
                        raise RuntimeError("forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got %s."
                                           % (result,))
                    args, kwargs = result
            else:
                result = hook(self, args)
                if result is not None:
                    args = result if isinstance(result, tuple) else (result,)
        backward_hook = None
        full = list(global_backward_hooks.values()) if _globals_are_full() else []
        old = [] if full else list(global_backward_hooks.values())
        if self._is_full_backward_hook is True:
            full += self._backward_hooks.values()
        elif self._is_full_backward_hook is False:
            old += self._backward_hooks.values()
        pre = [*global_backward_pre_hooks.values(), *self._backward_pre_hooks.values()]
        if full or pre:
            from ...utils.hooks import BackwardHook

            backward_hook = BackwardHook(self, full, pre)
            args = backward_hook.setup_input_hook(args)
        result = self.forward(*args, **kwargs)
        for hook_id, hook in (*global_forward_hooks.items(), *self._forward_hooks.items()):
            called.add(hook_id)
            if hook_id in self._forward_hooks_with_kwargs or hook_id in global_forward_hooks_with_kwargs:
                changed = hook(self, args, kwargs, result)
            else:
                changed = hook(self, args, result)
            if changed is not None:
                result = changed
        if backward_hook is not None:
            if not isinstance(result, (_Tensor, tuple)):
                import warnings

                warnings.warn("For backward hooks to be called, module output should be a Tensor or a tuple of Tensors but received %s"
                              % type(result))
            result = backward_hook.setup_output_hook(result)
        if old:
            self._old_backward_hooks(result, old)
        return result

    def _old_backward_hooks(self, result, hooks):
        """register_backward_hook: sees the gradients of the last operator only."""
        while not isinstance(result, _Tensor):
            result = next(v for v in result.values() if isinstance(v, _Tensor)) if isinstance(result, dict) else result[0]
        node = result.grad_fn
        if node is None:
            return
        for hook in hooks:
            node.register_hook(lambda gi, go, hook=hook: hook(self, gi, go))


class _WithModule:
    """A load_state_dict pre-hook, with the module put in front of its arguments when it wants it."""

    def __init__(self, hook, module):
        self.hook, self.module, self.with_module = hook, module, module is not None

    def __call__(self, *args, **kwargs):
        if self.with_module:
            return self.hook(self.module, *args, **kwargs)
        return self.hook(*args, **kwargs)


_full_globals = [None]


def _globals_are_full():
    return _full_globals[0] is not False


def register_module_forward_pre_hook(hook):
    return _global_handle(global_forward_pre_hooks, hook)


def register_module_forward_hook(hook, *, with_kwargs=False, always_call=False):
    handle = _global_handle(global_forward_hooks, hook, extra=[global_forward_hooks_always, global_forward_hooks_with_kwargs])
    if with_kwargs:
        global_forward_hooks_with_kwargs[handle.id] = True
    if always_call:
        global_forward_hooks_always[handle.id] = True
    return handle


def register_module_full_backward_pre_hook(hook):
    return _global_handle(global_backward_pre_hooks, hook)


def _register_global_backward(hook, full):
    if global_backward_hooks and _full_globals[0] is not full:
        raise RuntimeError("Cannot use both regular backward hooks and full backward hooks as a global Module hook. Please use only one "
                           "of them.")
    _full_globals[0] = full
    return _global_handle(global_backward_hooks, hook)


def register_module_full_backward_hook(hook):
    return _register_global_backward(hook, True)


def register_module_backward_hook(hook):
    return _register_global_backward(hook, False)


def register_module_module_registration_hook(hook):
    return _handle(global_registration["module"], hook)


def register_module_parameter_registration_hook(hook):
    return _handle(global_registration["parameter"], hook)


def register_module_buffer_registration_hook(hook):
    return _handle(global_registration["buffer"], hook)
