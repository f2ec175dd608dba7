"""torch.save and torch.load.

load() reads weights and plain containers only, unless weights_only=False; the library's own parser does that without running
anything. Python's pickle comes in for whole modules and for classes that the program has allowed.
"""
import io
import os
import pickle

from . import _C

__all__ = ["save", "load", "add_safe_globals", "get_safe_globals", "clear_safe_globals", "safe_globals", "get_unsafe_globals_in_checkpoint",
           "register_package", "location_tag", "default_restore_location", "set_default_mmap_options", "SourceChangeWarning"]

DEFAULT_PROTOCOL = 2
_safe_globals = []


class SourceChangeWarning(Warning):
    pass


def _global_name(obj):
    if isinstance(obj, tuple):
        return obj[1]
    name = "%s.%s" % (obj.__module__, obj.__qualname__ if hasattr(obj, "__qualname__") else obj.__name__)
    return "torch" + name[5:] if name.startswith("taper.") else name


def _user_table():
    return {_global_name(g): (g[0] if isinstance(g, tuple) else g) for g in _safe_globals}


def add_safe_globals(safe_globals):
    _safe_globals.extend(g for g in safe_globals if g not in _safe_globals)


def get_safe_globals():
    return list(_safe_globals)


def clear_safe_globals():
    _safe_globals.clear()


class safe_globals:
    """Context in which load(weights_only=True) builds these classes too."""

    def __init__(self, safe_globals):
        self.safe_globals = list(safe_globals)

    def __enter__(self):
        self.before = list(_safe_globals)
        add_safe_globals(self.safe_globals)

    def __exit__(self, *exc):
        _safe_globals[:] = self.before


def get_unsafe_globals_in_checkpoint(f):
    """Names in the file's pickle that load(weights_only=True) would refuse."""
    import pickletools

    from ._zip_unpickle import ZipReader, _allowed_table

    with _opened(f) as file:
        data = ZipReader(file).pickle()
    table, user, found = _allowed_table(), _user_table(), []
    for op, arg, _ in pickletools.genops(data):
        if op.name == "GLOBAL":
            name = arg.replace(" ", ".")
            if name not in table and name not in user and name not in found:
                found.append(name)
    return found


def register_package(priority, tagger, deserializer):
    raise NotImplementedError("torch.serialization.register_package: taper knows the devices cpu, cuda and meta only")


def location_tag(storage):
    return str(storage.device)


def default_restore_location(storage, location):
    from ._zip_unpickle import default_location

    return default_location(storage, location)


def set_default_mmap_options(flags):
    pass


def save(obj, f, pickle_module=None, pickle_protocol=DEFAULT_PROTOCOL, _use_new_zipfile_serialization=True,
         _disable_byteorder_record=False):
    """Writes obj to a path or a file object, in the zip format of PyTorch."""
    if not isinstance(f, (str, os.PathLike)) and not hasattr(f, "write"):
        raise AttributeError("expected 'f' to be string, path, or a file-like object with a 'write' attribute")
    own = getattr(_C, "save_pt", None)
    if own is not None:
        if isinstance(f, (str, os.PathLike)):
            folder = os.path.dirname(os.path.realpath(os.fspath(f)))
            if not os.path.isdir(folder):
                raise RuntimeError("Parent directory %s does not exist." % folder)
        if own(obj, f):  # False: something that only pickle can write
            return
    from . import _zip_pickle

    if isinstance(f, (str, os.PathLike)):
        _zip_pickle.write_path(obj, f, pickle_protocol)
    else:
        _zip_pickle.write(obj, _Counting(f), "archive", pickle_protocol)


class _Counting:
    """A file object that zipfile can write to, over one that has only write()."""

    def __init__(self, file):
        self.file, self.at = file, 0

    def write(self, data):
        data = memoryview(data).cast("B") if not isinstance(data, bytes) else data
        self.file.write(data)
        self.at += len(data)
        return len(data)

    def tell(self):
        return self.at

    def flush(self):
        if hasattr(self.file, "flush"):
            self.file.flush()

    def seekable(self):
        return False

    def close(self):
        pass


class _opened:
    """A path opened, or a file object as it is."""

    def __init__(self, f):
        self.f = f

    def __enter__(self):
        self.file = open(self.f, "rb") if isinstance(self.f, (str, os.PathLike)) else self.f
        return self.file

    def __exit__(self, *exc):
        if self.file is not self.f:
            self.file.close()


_TRUST = ("Weights only load failed. This file can still be loaded, to do so you have two options, \033[1mdo those steps only if you trust "
          "the source of the checkpoint\033[0m. \n\t(1) In PyTorch 2.6, we changed the default value of the `weights_only` argument in "
          "`torch.load` from `False` to `True`. Re-running `torch.load` with `weights_only` set to `False` will likely succeed, but it can "
          "result in arbitrary code execution. Do it only if you got the file from a trusted source.\n\t(2) Alternatively, to load with "
          "`weights_only=True` please check the recommended steps in the following error message.\n\tWeightsUnpickler error: ")
_BROKEN = ("Weights only load failed. In PyTorch 2.6, we changed the default value of the `weights_only` argument in `torch.load` from `False` "
           "to `True`. Re-running `torch.load` with `weights_only` set to `False` will likely succeed, but it can result in arbitrary code "
           "execution. Do it only if you got the file from a trusted source.\nPlease file an issue with the following so that we can make "
           "`weights_only=True` compatible with your use case: WeightsUnpickler error: ")
_DOCS = ("\n\nCheck the documentation of torch.load to learn more about types accepted by default with weights_only "
         "https://pytorch.org/docs/stable/generated/torch.load.html.")


def load(f, map_location=None, pickle_module=None, *, weights_only=None, mmap=None, **pickle_load_args):
    """Reads what save() wrote. weights_only=False builds any object, and so may run any code that the file names."""
    if pickle_module is not None and weights_only:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    if weights_only is None:
        forced_off = os.environ.get("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "0") in ("1", "y", "yes", "true")
        weights_only = pickle_module is None and not forced_off
    is_path = isinstance(f, (str, os.PathLike))
    if mmap and not is_path:
        raise ValueError("f must be a file path in order to use the mmap argument")
    if not is_path and not (hasattr(f, "seek") and hasattr(f, "tell")):
        raise AttributeError("'%s' object has no attribute 'seek'. You can only torch.load from a file that is seekable. Please pre-load the "
                             "data into a buffer like io.BytesIO and try to load from it instead." % type(f).__name__)
    if not weights_only:
        return _load_pickle(f, map_location, None, pickle_load_args, mmap)
    user = _user_table()
    own = getattr(_C, "load_pt", None)
    simple = map_location is None or isinstance(map_location, (str, dict, _C.device))
    if own is not None and not user and simple and not pickle_load_args:
        try:
            if is_path:
                return own(os.fspath(f), map_location, bool(mmap))
            return own(f.read(), map_location, False)
        except pickle.UnpicklingError as error:
            raise _explained(error) from None
    try:
        return _load_pickle(f, map_location, user, pickle_load_args, mmap)
    except pickle.UnpicklingError as error:
        raise _explained(error) from None


def _explained(error):
    text = str(error)
    return pickle.UnpicklingError((_TRUST if text.startswith("Unsupported global") else _BROKEN) + text + _DOCS)


def _load_pickle(f, map_location, user, args, use_mmap):
    from . import _zip_unpickle as z

    encoding = args.get("encoding", "utf-8")
    with _opened(f) as file:
        at = file.tell()
        head = file.read(4)
        if not head:
            raise EOFError("Ran out of input")
        file.seek(at)
        if head == b"PK\x03\x04":
            if at:  # zipfile counts from the beginning
                file = io.BytesIO(file.read())
            return z.read_zip(file, f if isinstance(f, (str, os.PathLike)) else None, map_location, user, encoding, bool(use_mmap))
        if use_mmap:
            raise RuntimeError("mmap can only be used with files saved with `torch.save(_use_new_zipfile_serialization=True), please torch.save "
                               "your checkpoint with this option in order to use mmap.")
        if user is not None:
            try:
                return z.read_legacy(file, map_location, user, encoding)
            except (EOFError, pickle.UnpicklingError):
                raise
            except Exception as error:  # garbage makes the pickle machine fail in any way
                raise pickle.UnpicklingError("Unsupported operand: %s" % error) from None
        return z.read_legacy(file, map_location, user, encoding)
