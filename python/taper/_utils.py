"""Functions that pickles of tensors call by name."""
from . import _C


def _rebuild_tensor(storage, storage_offset, size, stride):
    return storage._tensor(storage_offset, size, stride)


def _rebuild_tensor_v2(storage, storage_offset, size, stride, requires_grad, backward_hooks, metadata=None):
    tensor = storage._tensor(storage_offset, size, stride)
    if requires_grad:
        tensor.requires_grad_()
    return tensor


def _rebuild_tensor_v3(storage, storage_offset, size, stride, requires_grad, backward_hooks, dtype, metadata=None):
    tensor = storage._with_dtype(dtype)._tensor(storage_offset, size, stride)
    return tensor.requires_grad_() if requires_grad else tensor


def _rebuild_parameter(data, requires_grad, backward_hooks):
    from .nn.parameter import Parameter

    return Parameter(data, requires_grad)


def _rebuild_parameter_with_state(data, requires_grad, backward_hooks, state):
    param = _rebuild_parameter(data, requires_grad, backward_hooks)
    return _set_obj_state(param, state)


def _set_obj_state(obj, state):
    if isinstance(state, tuple):
        state, slots = state
        for k, v in (slots or {}).items():
            setattr(obj, k, v)
    if state:
        obj.__dict__.update(state)
    return obj


def _rebuild_from_type_v2(func, new_type, args, state):
    tensor = func(*args)
    if type(tensor) is not new_type:
        tensor = tensor.as_subclass(new_type)
    if hasattr(type(tensor), "__setstate__"):
        tensor.__setstate__(state)
    else:
        _set_obj_state(tensor, state)
    return tensor


def _rebuild_meta_tensor_no_storage(dtype, size, stride, requires_grad):
    return _C.ops.empty_strided(size, stride, dtype=dtype, device="meta").requires_grad_(requires_grad)


def _flatten_dense_tensors(tensors):
    return _C.ops.cat([t.reshape(-1) for t in tensors])


def _unflatten_dense_tensors(flat, tensors):
    out, at = [], 0
    for t in tensors:
        out.append(flat[at : at + t.numel()].view_as(t))
        at += t.numel()
    return tuple(out)


def _tensor_from_buffer(data, dtype, shape, requires_grad):
    """What plain pickle makes of a tensor: bytes, dtype name and shape."""
    dtype = getattr(_C, dtype)
    if 0 in shape:
        tensor = _C.ops.empty(shape, dtype=dtype)
    else:
        tensor = _C.ops.frombuffer(data if isinstance(data, bytearray) else bytearray(data), dtype=dtype).reshape(shape)
    return tensor.requires_grad_() if requires_grad else tensor


def _reduce_tensor(tensor, proto):
    """What Tensor.__reduce_ex__ gives to plain pickle: bytes in the buffer of protocol 5, or copied before it."""
    import pickle

    t = tensor.detach().cpu().contiguous()
    size, start = t.element_size(), t.storage_offset()
    data = _C.storage_bytes(t)[start * size : (start + t.numel()) * size]
    data = pickle.PickleBuffer(data) if proto >= 5 else bytearray(data)
    plain = (data, str(t.dtype)[6:], tuple(t.shape), tensor.requires_grad and tensor.is_leaf)
    if tensor.device.type == "cpu":
        return _tensor_from_buffer, plain
    return _tensor_on_device, (str(tensor.device), *plain)


def _tensor_on_device(device, data, dtype, shape, requires_grad):
    if _C.device(device).type == "meta":
        return _C.ops.empty(shape, dtype=getattr(_C, dtype), device="meta").requires_grad_(requires_grad)
    return _tensor_from_buffer(data, dtype, shape, False).to(device).requires_grad_(requires_grad)


def _deepcopy_tensor(tensor, memo):
    """copy.deepcopy of a leaf: its own storage (shared again among tensors that share it), gradient and attributes."""
    known = memo.get(id(tensor))
    if known is not None:
        return known
    if not tensor.is_leaf:
        raise RuntimeError("Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  If you "
                           "were attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm usage, see "
                           "https://github.com/pytorch/pytorch/pull/103001")
    previous = _C.set_grad_enabled(False)
    try:
        if tensor.device.type == "meta" or not tensor.numel():
            new = tensor.detach().clone()
        else:
            storages = memo.setdefault("taper storages", {})
            key = (_C.storage_key(tensor), tensor.dtype)
            base = storages.get(key)
            if base is None:
                n = _C.storage_nbytes(tensor) // tensor.element_size()
                base = storages[key] = tensor.detach().as_strided((n,), (1,), 0).clone()
            new = base.as_strided(tuple(tensor.shape), tuple(tensor.stride()), tensor.storage_offset()).detach()
    finally:
        _C.set_grad_enabled(previous)
    if type(tensor) is not _C.Tensor:
        new = new.as_subclass(type(tensor))
    new.requires_grad_(tensor.requires_grad)
    memo[id(tensor)] = new
    if tensor.grad is not None:
        new.grad = _deepcopy_tensor(tensor.grad, memo)
    attributes = getattr(tensor, "__dict__", None)
    if attributes:
        import copy

        new.__dict__.update(copy.deepcopy(attributes, memo))
    return new
