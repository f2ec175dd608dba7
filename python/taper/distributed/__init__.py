"""torch.distributed: not in this build. Scripts that ask first are told; those that do not get one clear sentence."""


def is_available():
    return False


def is_initialized():
    return False


def is_nccl_available():
    return False


is_gloo_available = is_mpi_available = is_ucc_available = is_torchelastic_launched = is_nccl_available


def get_rank(group=None):
    _refuse("get_rank")


def get_world_size(group=None):
    _refuse("get_world_size")


def _refuse(name):
    raise NotImplementedError("torch.distributed.%s: this build of taper has no torch.distributed yet; run the script in one process, or with "
                              "PyTorch" % name)


class ReduceOp:
    SUM, AVG, PRODUCT, MIN, MAX, BAND, BOR, BXOR = range(8)


class _Group:
    WORLD = None


group = GroupMember = _Group


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)

    def missing(*args, **kwargs):
        _refuse(name)

    missing.__name__ = name
    return missing
