"""Random numbers of GPUs: a seed and a counter for each."""
from .. import _C
from ._devices import _index, device_count


def manual_seed(seed):
    manual_seed_all(seed)


def manual_seed_all(seed):
    _C.cuda_manual_seed(int(seed) & 0xFFFFFFFFFFFFFFFF)


def seed():
    seed_all()


def seed_all():
    import os

    manual_seed_all(int.from_bytes(os.urandom(8), "little"))


def initial_seed():
    return _C.cuda_get_random_state(_C.cuda_current_device())[0]


def get_rng_state(device="cuda"):
    """16 bytes: seed and offset, as torch stores them."""
    s, offset = _C.cuda_get_random_state(_index(device))
    return _C.ops.frombuffer(bytearray(s.to_bytes(8, "little") + offset.to_bytes(8, "little")), dtype=_C.uint8)


def set_rng_state(new_state, device="cuda"):
    data = bytes(new_state.tolist())
    _C.cuda_set_random_state(int.from_bytes(data[:8], "little"), int.from_bytes(data[8:16], "little"), _index(device))


def get_rng_state_all():
    return [get_rng_state(i) for i in range(device_count())]


def set_rng_state_all(new_states):
    for i, state in enumerate(new_states):
        set_rng_state(state, i)
