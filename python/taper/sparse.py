"""torch.sparse: Sparse tensors are not part of taper."""


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    from ._absent import Absent

    raise Absent("torch.sparse.%s: Sparse tensors are not part of taper" % name)
