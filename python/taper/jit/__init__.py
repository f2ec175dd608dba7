"""torch.jit: there is no TorchScript. Decorators that only mark functions for it mark nothing; script() gives the function back."""


def script(obj=None, optimize=None, _frames_up=0, _rcb=None, example_inputs=None):
    return obj if obj is not None else (lambda f: f)


def _identity(fn=None, *args, **kwargs):
    return fn if fn is not None else (lambda f: f)


ignore = unused = export = script_method = interface = _identity
_overload = _overload_method = _script_if_tracing = script_if_tracing = script


def is_scripting():
    return False


def is_tracing():
    return False


def annotate(the_type, the_value):
    return the_value


def isinstance(obj, target_type):
    import builtins

    return builtins.isinstance(obj, target_type)


def fork(func, *args, **kwargs):
    return func(*args, **kwargs)


def wait(future):
    return future


class Attribute:
    def __new__(cls, value, type=None):
        return value


Final = object


class ScriptModule:
    def __init__(self, *args, **kwargs):
        _refuse("ScriptModule")


class ScriptFunction:
    pass


def _refuse(name):
    raise NotImplementedError("torch.jit.%s: taper has no TorchScript; save the state_dict and the Python class instead" % name)


def trace(func, example_inputs=None, *args, **kwargs):
    _refuse("trace")


def trace_module(*args, **kwargs):
    _refuse("trace_module")


def load(f, map_location=None, _extra_files=None, _restore_shapes=False):
    _refuse("load")


def save(m, f, _extra_files=None):
    _refuse("save")


def freeze(mod, *args, **kwargs):
    return mod


def optimize_for_inference(mod, *args, **kwargs):
    return mod


def set_fusion_strategy(strategy):
    return []


class optimized_execution:
    def __init__(self, should_optimize):
        pass

    def __enter__(self):
        pass

    def __exit__(self, *exc):
        return False
