"""Rates of parameter groups: numbers or tensors, one or one for each group."""
from .. import _C


def _warn(message):
    import warnings

    warnings.warn(message, UserWarning, stacklevel=3)


def _number(x):
    return x.item() if isinstance(x, _C.Tensor) else x


def _set(group, key, value):
    if isinstance(group[key], _C.Tensor):
        group[key].fill_(_number(value))
    else:
        group[key] = value


def _format_param(name, optimizer, param):
    """One value for each parameter group."""
    n = len(optimizer.param_groups)
    if isinstance(param, (list, tuple)):
        if len(param) != n:
            raise ValueError("%s must have the same length as optimizer.param_groups. %s has %d values, param_groups has %d."
                             % (name, name, len(param), n))
        return list(param)
    return [param] * n
