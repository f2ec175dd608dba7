"""torch.utils."""


def __getattr__(name):
    if name in ("data", "tensorboard", "checkpoint", "benchmark", "hooks", "model_zoo", "collect_env", "cpp_extension", "dlpack",
                "mobile_optimizer", "_pytree", "bottleneck"):
        from importlib import import_module

        return import_module("." + name, __package__)
    raise AttributeError("module 'torch.utils' has no attribute '%s'" % name)


def set_module(obj, mod):
    obj.__module__ = mod
