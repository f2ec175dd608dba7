"""The default generators of all devices."""
from . import _C

default_generator = _C.default_generator


def manual_seed(seed):
    """Seeds the CPU generator and those of all GPUs; returns the CPU generator. Negative seeds wrap, as in torch."""
    seed = int(seed)
    generator = _C.default_generator.manual_seed(seed)
    if _C.cuda_device_count():
        from . import cuda

        cuda.manual_seed_all(seed)
    return generator


def seed():
    value = _C.default_generator.seed()
    if _C.cuda_device_count():
        from . import cuda

        cuda.manual_seed_all(value)
    return value


def initial_seed():
    return _C.default_generator.initial_seed()


def get_rng_state():
    return _C.default_generator.get_state()


def set_rng_state(new_state):
    _C.default_generator.set_state(new_state)


class fork_rng:
    """Context that puts the generators' states back at its end."""

    def __init__(self, devices=None, enabled=True, _caller="fork_rng", _devices_kw="devices", device_type="cuda"):
        self.enabled, self.devices = enabled, devices

    def __enter__(self):
        if self.enabled:
            self.state = get_rng_state()
            self.cuda = {}
            if _C.cuda_device_count():
                from . import cuda

                devices = range(cuda.device_count()) if self.devices is None else self.devices
                self.cuda = {d: cuda.get_rng_state(d) for d in devices}

    def __exit__(self, *exc):
        if self.enabled:
            set_rng_state(self.state)
            if self.cuda:
                from . import cuda

                for d, state in self.cuda.items():
                    cuda.set_rng_state(state, d)
