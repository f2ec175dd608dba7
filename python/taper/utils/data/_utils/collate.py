"""Samples to batches."""
import collections
import copy

from .... import _C

_ops = _C.ops
_Tensor = _C.Tensor
default_collate_err_msg_format = "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
_REFUSED_KINDS = "SUOa"  # numpy's kinds of text, bytes and objects


def _is_numpy(elem):
    return type(elem).__module__ == "numpy"


def default_convert(data):
    if isinstance(data, _Tensor):
        return data
    if _is_numpy(data):
        if hasattr(data, "dtype") and data.dtype.kind in _REFUSED_KINDS:
            return data
        return _ops.as_tensor(data)
    if isinstance(data, collections.abc.Mapping):
        return _like(data, {k: default_convert(v) for k, v in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(default_convert(d) for d in data))
    if isinstance(data, tuple):
        return [default_convert(d) for d in data]
    if isinstance(data, collections.abc.Sequence) and not isinstance(data, (str, bytes)):
        try:
            return type(data)([default_convert(d) for d in data])
        except TypeError:
            return [default_convert(d) for d in data]
    return data


def _like(mapping, items):
    """A mapping of the same type; a plain dict where that type cannot be made so."""
    try:
        if isinstance(mapping, collections.abc.MutableMapping):
            clone = copy.copy(mapping)
            clone.update(items)
            return clone
        return type(mapping)(items)
    except TypeError:
        return items


def collate(batch, *, collate_fn_map=None):
    elem = batch[0]
    kind = type(elem)
    if collate_fn_map is not None:
        if kind in collate_fn_map:
            return collate_fn_map[kind](batch, collate_fn_map=collate_fn_map)
        for known in collate_fn_map:
            if isinstance(elem, known):
                return collate_fn_map[known](batch, collate_fn_map=collate_fn_map)
        if _is_numpy(elem) and collate_fn_map is default_collate_fn_map:
            return collate_numpy(batch)
    if isinstance(elem, collections.abc.Mapping):
        return _like(elem, {key: collate([d[key] for d in batch], collate_fn_map=collate_fn_map) for key in elem})
    if isinstance(elem, tuple) and hasattr(elem, "_fields"):
        return kind(*(collate(samples, collate_fn_map=collate_fn_map) for samples in zip(*batch)))
    if isinstance(elem, collections.abc.Sequence):
        size = len(elem)
        if not all(len(e) == size for e in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = [collate(samples, collate_fn_map=collate_fn_map) for samples in zip(*batch)]
        if isinstance(elem, tuple):
            return columns
        try:
            if isinstance(elem, collections.abc.MutableSequence):
                clone = copy.copy(elem)
                for i, column in enumerate(columns):
                    clone[i] = column
                return clone
            return kind(columns)
        except TypeError:
            return columns
    raise TypeError(default_collate_err_msg_format.format(kind))


def collate_tensor_fn(batch, *, collate_fn_map=None):
    return _ops.stack(batch, 0)


def collate_numpy(batch):
    elem = batch[0]
    if not hasattr(elem, "dtype") or elem.dtype.kind in _REFUSED_KINDS:
        raise TypeError(default_collate_err_msg_format.format(getattr(elem, "dtype", type(elem))))
    if getattr(elem, "shape", ()) == () and type(elem).__name__ != "ndarray":
        return _ops.as_tensor(batch)  # numpy scalars
    return collate([_ops.as_tensor(b) for b in batch], collate_fn_map=default_collate_fn_map)


def collate_numpy_array_fn(batch, *, collate_fn_map=None):
    return collate_numpy(batch)


def collate_numpy_scalar_fn(batch, *, collate_fn_map=None):
    return _ops.as_tensor(batch)


def collate_float_fn(batch, *, collate_fn_map=None):
    return _ops.tensor(batch, dtype=_C.float64)


def collate_int_fn(batch, *, collate_fn_map=None):
    return _ops.tensor(batch)


def collate_str_fn(batch, *, collate_fn_map=None):
    return batch


default_collate_fn_map = {_Tensor: collate_tensor_fn, float: collate_float_fn, int: collate_int_fn, str: collate_str_fn,
                          bytes: collate_str_fn}


def default_collate(batch):
    return collate(batch, collate_fn_map=default_collate_fn_map)
