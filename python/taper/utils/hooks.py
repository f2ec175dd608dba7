"""Handles of registered hooks, and the hooks around a whole module's backward."""
from collections import OrderedDict
from weakref import ref

from .. import _C
from ..autograd.function import Function

__all__ = ["RemovableHandle", "unserializable_hook", "warn_if_has_hooks", "BackwardHook"]


class RemovableHandle:
    """remove() takes the hook out of the dictionary it was put in."""

    next_id = 0

    def __init__(self, hooks_dict, *, extra_dict=None):
        self.hooks_dict_ref = ref(hooks_dict)
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1
        extra = () if extra_dict is None else (extra_dict if isinstance(extra_dict, list) else [extra_dict])
        self.extra_dict_ref = tuple(ref(d) for d in extra)

    def remove(self):
        for r in (self.hooks_dict_ref, *self.extra_dict_ref):
            hooks = r()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __getstate__(self):
        if not self.extra_dict_ref:
            return self.hooks_dict_ref(), self.id
        return self.hooks_dict_ref(), self.id, tuple(r() for r in self.extra_dict_ref)

    def __setstate__(self, state):
        hooks = OrderedDict() if state[0] is None else state[0]
        self._keep = hooks
        self.hooks_dict_ref, self.id = ref(hooks), state[1]
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)
        self.extra_dict_ref = tuple(ref(OrderedDict() if d is None else d) for d in (state[2] if len(state) > 2 else ()))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.remove()


def unserializable_hook(f):
    f.__torch_unserializable__ = True
    return f


def warn_if_has_hooks(tensor):
    hooks = tensor._backward_hooks
    if hooks:
        import warnings

        for k in hooks:
            if not hasattr(hooks[k], "__torch_unserializable__"):
                warnings.warn("backward hook %r on tensor will not be serialized.  If this is expected, you can decorate the function "
                              "with @torch.utils.hooks.unserializable_hook to suppress this warning" % (hooks[k],))


class _Through(Function):
    """Identity on several tensors: one node whose gradients are those of all of them together."""

    @staticmethod
    def forward(ctx, *args):
        ctx.mark_non_differentiable(*[a for a in args if not a.requires_grad])
        return tuple(a.view_as(a) for a in args)

    @staticmethod
    def backward(ctx, *grads):
        return grads


class BackwardHook:
    """Calls the hooks of one module call when the gradients of its outputs, then of its inputs, are there."""

    def __init__(self, module, user_hooks, user_pre_hooks):
        self.module, self.user_hooks, self.user_pre_hooks = module, user_hooks, user_pre_hooks
        self.grad_outputs = None
        self.n_inputs = -1
        self.inputs_at = None
        self.n_outputs = -1
        self.outputs_at = None

    def _full(self, grads, at, n):
        full = [None] * n
        for i, g in zip(at, grads):
            full[i] = g
        return tuple(full)

    def _apply(self, on_node, args):
        at = [i for i, a in enumerate(args) if isinstance(a, _C.Tensor)]
        if not (_C.is_grad_enabled() and any(args[i].requires_grad for i in at)):
            return args, None
        new = _Through.apply(*[args[i] for i in at])
        node = next((t.grad_fn for t in new if t.grad_fn is not None), None)
        if node is None:
            raise RuntimeError("Error while setting up backward hooks: the module's arguments lost their gradient")
        on_node(node)
        args = list(args)
        for i, t in zip(at, new):
            args[i] = t
        return tuple(args), at

    def _call_hooks(self, grad_inputs, grad_outputs):
        result = grad_inputs
        for hook in self.user_hooks:
            out = hook(self.module, grad_inputs, grad_outputs)
            if out is None:
                continue
            out = (out,) if not isinstance(out, tuple) else out
            if len(out) != len(grad_inputs):
                raise RuntimeError("Backward hook returned an invalid number of grad_input, got %d, but expected %d"
                                   % (len(out), len(grad_inputs)))
            result = grad_inputs = out
        return result

    def setup_input_hook(self, args):
        def on_node(node):
            def hook(grad_input, _):
                if self.grad_outputs is None:
                    return None
                full = self._full(grad_input, self.inputs_at, self.n_inputs)
                result = self._call_hooks(full, self.grad_outputs)
                self.grad_outputs = None
                return tuple(result[i] for i in self.inputs_at)

            node.register_hook(hook)

        args, at = self._apply(on_node, args)
        self.n_inputs, self.inputs_at = len(args), at
        return args

    def setup_output_hook(self, args):
        def on_node(node):
            def hook(_, grad_output):
                self.grad_outputs = self._full(grad_output, self.outputs_at, self.n_outputs)
                changed = None
                for pre in self.user_pre_hooks:
                    out = pre(self.module, self.grad_outputs)
                    if out is None:
                        continue
                    out = (out,) if not isinstance(out, tuple) else out
                    if len(out) != len(self.grad_outputs):
                        raise RuntimeError("Backward pre hook returned an invalid number of grad_output, got %d, but expected %d"
                                           % (len(out), len(self.grad_outputs)))
                    self.grad_outputs = changed = out
                local = self.grad_outputs
                if self.inputs_at is None:  # no input requires a gradient: the hooks are called here
                    self._call_hooks(self._full([], [], self.n_inputs), self.grad_outputs)
                    self.grad_outputs = None
                if changed is not None:
                    return tuple(local[i] for i in self.outputs_at)
                return None

            node.register_hook(hook)

        single = not isinstance(args, tuple)
        if single:
            if not isinstance(args, _C.Tensor):
                return args
            args = (args,)
        self.n_outputs = len(args)
        args, at = self._apply(on_node, args)
        self.outputs_at = at
        return args[0] if single else args
