"""Hooks on saved tensors are not offered; the names that do nothing by themselves are."""


class saved_tensors_hooks:
    def __init__(self, pack_hook, unpack_hook):
        raise NotImplementedError("torch.autograd.graph.saved_tensors_hooks: taper keeps saved tensors in C and calls no hooks on "
                                  "them; use torch.utils.checkpoint to save memory")


class disable_saved_tensors_hooks:
    def __init__(self, error_message):
        pass

    def __enter__(self):
        pass

    def __exit__(self, *exc):
        pass


def increment_version(tensor):
    tensor.detach().add_(0)
