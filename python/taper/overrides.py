"""torch.overrides: __torch_function__ is not dispatched; asking whether it is used is answered with no."""


def has_torch_function(args):
    return False


has_torch_function_unary = has_torch_function_variadic = lambda *args: False


def is_tensor_like(inp):
    from ._C import Tensor

    return isinstance(inp, Tensor)


def handle_torch_function(public_api, relevant_args, *args, **kwargs):
    return public_api(*args, **kwargs)
