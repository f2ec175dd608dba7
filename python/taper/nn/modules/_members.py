"""What a Module does with its members: walking over them and converting them."""
import itertools
from collections import OrderedDict

from ... import _C
from ..parameter import Parameter

_Tensor = _C.Tensor


class Members:
    """Mixed into Module: parameters(), buffers(), children(), modules(), apply(), to() and their kin."""

    def _named_members(self, get_members_fn, prefix="", recurse=True, remove_duplicate=True):
        seen = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for module_prefix, module in modules:
            for k, v in get_members_fn(module):
                if v is None or v in seen:
                    continue
                if remove_duplicate:
                    seen.add(v)
                yield module_prefix + ("." if module_prefix else "") + k, v

    def parameters(self, recurse=True):
        for _, param in self.named_parameters(recurse=recurse):
            yield param

    def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
        yield from self._named_members(lambda m: m._parameters.items(), prefix, recurse, remove_duplicate)

    def buffers(self, recurse=True):
        for _, buf in self.named_buffers(recurse=recurse):
            yield buf

    def named_buffers(self, prefix="", recurse=True, remove_duplicate=True):
        yield from self._named_members(lambda m: m._buffers.items(), prefix, recurse, remove_duplicate)

    def children(self):
        for _, module in self.named_children():
            yield module

    def named_children(self):
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def modules(self):
        for _, module in self.named_modules():
            yield module

    def named_modules(self, memo=None, prefix="", remove_duplicate=True):
        if memo is None:
            memo = set()
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, prefix + ("." if prefix else "") + name, remove_duplicate)

    def train(self, mode=True):
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self):
        return self.train(False)

    def requires_grad_(self, requires_grad=True):
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none=True):
        for p in self.parameters():
            if p.grad is not None:
                if set_to_none:
                    p.grad = None
                else:
                    if p.grad.grad_fn is not None:
                        p.grad.detach_()
                    else:
                        p.grad.requires_grad_(False)
                    p.grad.zero_()

    def share_memory(self):
        return self._apply(lambda t: t.share_memory_())

    def apply(self, fn):
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def _apply(self, fn, recurse=True):
        if recurse:
            for module in self.children():
                module._apply(fn)
        previous = _C.set_grad_enabled(False)
        try:
            for key, param in self._parameters.items():
                if param is None:
                    continue
                grad, new = param.grad, fn(param)
                if new is not param:
                    if _keeps_identity(param, new):
                        param.data = new
                    else:
                        param = self._parameters[key] = Parameter(new, param.requires_grad)
                        if grad is not None:
                            param.grad = fn(grad).requires_grad_(grad.requires_grad)
                        continue
                if grad is not None:
                    new_grad = fn(grad)
                    if new_grad is not grad:
                        # Assigned after the data, so that device and dtype agree.
                        param.grad = None
                        param.grad = new_grad.requires_grad_(grad.requires_grad)
            for key, buf in self._buffers.items():
                if buf is not None:
                    self._buffers[key] = fn(buf)
        finally:
            _C.set_grad_enabled(previous)
        return self

    def to(self, *args, **kwargs):
        device, dtype, non_blocking, memory_format = _parse_to(args, kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError("nn.Module.to only accepts floating point or complex dtypes, but got desired dtype=%s" % dtype)

        def convert(t):
            wanted = dtype if t.is_floating_point() else None
            if device is None:
                if wanted is None:
                    new = t
                else:
                    new = t.to(wanted, non_blocking=non_blocking)
            elif t.device.type == "meta" and device.type != "meta":
                raise NotImplementedError("Cannot copy out of meta tensor; no data! Please use torch.nn.Module.to_empty() instead of "
                                          "torch.nn.Module.to() when moving module from meta to a different device.")
            elif wanted is None:
                new = t.to(device, non_blocking=non_blocking)
            else:
                new = t.to(device, wanted, non_blocking=non_blocking)
            if memory_format is not None and t.dim() in (4, 5):
                new = new.contiguous(memory_format=memory_format)
            return new

        return self._apply(convert)

    def to_empty(self, *, device, recurse=True):
        return self._apply(lambda t: _C.ops.empty_like(t, device=device), recurse=recurse)

    def cuda(self, device=None):
        return self._apply(lambda t: t.cuda(device))

    def cpu(self):
        return self._apply(lambda t: t.cpu())

    def type(self, dst_type):
        return self._apply(lambda t: t.type(dst_type))

    def float(self):
        return self._apply(lambda t: t.float() if t.is_floating_point() else t)

    def double(self):
        return self._apply(lambda t: t.double() if t.is_floating_point() else t)

    def half(self):
        return self._apply(lambda t: t.half() if t.is_floating_point() else t)

    def bfloat16(self):
        return self._apply(lambda t: t.bfloat16() if t.is_floating_point() else t)

    def xpu(self, device=None):
        raise RuntimeError("Module.xpu: taper runs on cpu and cuda")

    def ipu(self, device=None):
        raise RuntimeError("Module.ipu: taper runs on cpu and cuda")

    def _replicate_for_data_parallel(self):
        replica = self.__new__(type(self))
        replica.__dict__ = self.__dict__.copy()
        replica._parameters, replica._buffers = OrderedDict(), self._buffers.copy()
        replica._modules = self._modules.copy()
        return replica

    def __dir__(self):
        keys = itertools.chain(dir(type(self)), self.__dict__, self._parameters, self._modules, self._buffers)
        return sorted(k for k in keys if not k[0].isdigit())


def _keeps_identity(param, new):
    """Whether the parameter object can stay and get new data: true unless the kind of device changes to or from meta."""
    return (param.device.type == "meta") == (new.device.type == "meta")


def _parse_to(args, kwargs):
    """to(device, dtype), to(dtype), to(tensor), with non_blocking and memory_format."""
    device = kwargs.pop("device", None)
    dtype = kwargs.pop("dtype", None)
    non_blocking = kwargs.pop("non_blocking", False)
    memory_format = kwargs.pop("memory_format", None)
    other = kwargs.pop("tensor", None)
    if kwargs:
        raise TypeError("to() received an invalid combination of arguments: unexpected keyword argument '%s'" % next(iter(kwargs)))
    rest = list(args)
    if rest and isinstance(rest[0], _Tensor):
        other = rest.pop(0)
    elif rest and isinstance(rest[0], _C.dtype):
        dtype = rest.pop(0)
    elif rest and rest[0] is None or rest and isinstance(rest[0], (str, int, _C.device)) and not isinstance(rest[0], bool):
        device = rest.pop(0)
        if rest and (rest[0] is None or isinstance(rest[0], _C.dtype)):
            dtype = rest.pop(0)
    elif rest:
        raise TypeError("to() received an invalid combination of arguments - got (%s), but expected one of:\n * (torch.device device, "
                        "torch.dtype dtype, bool non_blocking, bool copy, *, torch.memory_format memory_format)\n * (torch.dtype "
                        "dtype, bool non_blocking, bool copy, *, torch.memory_format memory_format)\n * (Tensor tensor, bool "
                        "non_blocking, bool copy, *, torch.memory_format memory_format)\n"
                        % ", ".join(type(a).__name__ for a in args))
    if rest:
        non_blocking = rest.pop(0)
    if other is not None:
        device, dtype = other.device, other.dtype
    if device is not None and not isinstance(device, _C.device):
        device = _C.device(device)
    return device, dtype, non_blocking, memory_format
