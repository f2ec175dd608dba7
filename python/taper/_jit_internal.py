"""Marks for TorchScript that other libraries import."""
from .jit import _overload, _overload_method, export, ignore, is_scripting, unused


def boolean_dispatch(arg_name, arg_index, default, if_true, if_false, module_name=None, func_name=None):
    def dispatch(*args, **kwargs):
        chosen = kwargs.get(arg_name, args[arg_index] if arg_index < len(args) else default)
        return (if_true if chosen else if_false)(*args, **kwargs)

    return dispatch


def is_tracing():
    return False


class FunctionModifiers:
    UNUSED = EXPORT = DEFAULT = IGNORE = COPY_TO_SCRIPT_WRAPPER = ""


BroadcastingList1 = BroadcastingList2 = BroadcastingList3 = dict.fromkeys
