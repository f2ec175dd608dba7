"""Random numbers of GPUs: the default generator of each."""
from .. import _C
from ._devices import _index, _need, device_count


def _generators():
    return tuple(_C.cuda_default_generator(i) for i in range(device_count()))


def _generator(device=None):
    _need()
    return _C.cuda_default_generator(_index(device))


def manual_seed(seed):
    """Of the current GPU."""
    if device_count():
        _generator().manual_seed(int(seed))


def manual_seed_all(seed):
    for generator in _generators():
        generator.manual_seed(int(seed))


def seed():
    if device_count():
        _generator().seed()


def seed_all():
    """One fresh seed for all GPUs."""
    if device_count():
        manual_seed_all(_generator().seed())


def initial_seed():
    return _generator().initial_seed()


def get_rng_state(device="cuda"):
    """16 bytes: seed and offset, as torch stores them."""
    return _generator(device).get_state()


def set_rng_state(new_state, device="cuda"):
    if device_count():
        _generator(device).set_state(new_state)


def get_rng_state_all():
    return [get_rng_state(i) for i in range(device_count())]


def set_rng_state_all(new_states):
    for i, state in enumerate(new_states):
        set_rng_state(state, i)
