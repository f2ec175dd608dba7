"""DataParallel: the module behind the name `module`, run on one device."""
from ... import _C
from ..modules.module import Module


def _first_device(device_ids):
    if device_ids is not None and len(device_ids) > 1:
        import warnings

        warnings.warn("taper: DataParallel runs on one device (the first of %s); use DistributedDataParallel for several"
                      % (list(device_ids),))
    if not _C.cuda_device_count():
        return None
    if not device_ids:
        return _C.device("cuda", 0)
    return device_ids[0] if isinstance(device_ids[0], _C.device) else _C.device("cuda", int(device_ids[0]))


def _move(x, device):
    if isinstance(x, _C.Tensor):
        return x.to(device)
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return type(x)(*(_move(v, device) for v in x))
    if isinstance(x, (tuple, list)):
        return type(x)(_move(v, device) for v in x)
    if isinstance(x, dict):
        return type(x)((k, _move(v, device)) for k, v in x.items())
    return x


class DataParallel(Module):
    def __init__(self, module, device_ids=None, output_device=None, dim=0):
        super().__init__()
        device = _first_device(device_ids)
        self.module, self.dim = module, dim
        if device is None:
            self.device_ids = []
            return
        self.device_ids = [device.index]
        self.output_device = device.index if output_device is None else output_device
        self.src_device_obj = device
        self.module.to(device)

    def forward(self, *inputs, **kwargs):
        if not self.device_ids:
            return self.module(*inputs, **kwargs)
        return self.module(*_move(inputs, self.src_device_obj), **_move(kwargs, self.src_device_obj))


def data_parallel(module, inputs, device_ids=None, output_device=None, dim=0, module_kwargs=None):
    inputs = inputs if isinstance(inputs, tuple) else (() if inputs is None else (inputs,))
    device = _first_device(device_ids)
    if device is not None:
        inputs, module_kwargs = _move(inputs, device), _move(module_kwargs or {}, device)
    return module(*inputs, **(module_kwargs or {}))
