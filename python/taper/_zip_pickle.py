"""Writing torch's file format: a zip with one pickle and the bytes of each storage.

Names of this package are written as torch's, so that PyTorch reads the files; state dictionaries take the library's own writer.
"""
import io
import itertools
import os
import pickle
import struct
import zipfile
from collections import OrderedDict

from . import _C

STORAGE_NAMES = {
    "float64": "DoubleStorage", "float32": "FloatStorage", "float16": "HalfStorage", "bfloat16": "BFloat16Storage",
    "int64": "LongStorage", "int32": "IntStorage", "int16": "ShortStorage", "int8": "CharStorage", "uint8": "ByteStorage",
    "bool": "BoolStorage",
}
STORAGE_DTYPES = {v: k for k, v in STORAGE_NAMES.items()}
_PLACES = {_C.device: ("torch", "device"), _C.Size: ("torch", "Size"), _C.Tensor: ("torch", "Tensor"), _C.dtype: ("torch", "dtype"),
           _C.Generator: ("torch", "Generator")}


class _Global:
    """A name to be written without an object behind it."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class _StorageId:
    def __init__(self, value):
        self.value = value


class TorchPickler(pickle._Pickler):
    """Python's pickler in Python, since the names it writes are not always importable under these names."""

    def __init__(self, file, protocol):
        super().__init__(file, protocol)
        self.storages = {}  # storage key -> (number in the file, tensor, dtype)
        self.globals = {}

    def _named(self, module, name):
        return self.globals.setdefault((module, name), _Global(module, name))

    def persistent_id(self, obj):
        return obj.value if type(obj) is _StorageId else None

    def reducer_override(self, obj):
        kind = type(obj)
        if kind is _Global:
            return obj.name
        if isinstance(obj, _C.Tensor):
            return self._tensor(obj)
        if kind is _C.dtype:
            return str(obj)[6:]
        if kind is _C.device:
            return _C.device, (obj.type,) if obj.index is None else (obj.type, obj.index)
        if kind is _C.Size:
            return _C.Size, (tuple(obj),)
        return NotImplemented

    def _tensor(self, t):
        from .nn.parameter import Parameter

        if isinstance(t, Parameter) or type(t) is not _C.Tensor:
            if type(t) is Parameter:
                return t.__reduce_ex__(self.proto)
            if type(t).__reduce_ex__ is not _C.Tensor.__reduce_ex__:
                return t.__reduce_ex__(self.proto)
            args = self._tensor(t.detach().as_subclass(_C.Tensor))
            return self._named("torch._tensor", "_rebuild_from_type_v2"), (args[0], type(t), args[1], dict(t.__dict__))
        if t.device.type == "meta":
            return (self._named("torch._utils", "_rebuild_meta_tensor_no_storage"),
                    (t.dtype, tuple(t.shape), tuple(t.stride()), t.requires_grad))
        name = str(t.dtype)[6:]
        key = _C.storage_key(t)
        known = self.storages.get(key)
        if known is None:
            known = self.storages[key] = (str(len(self.storages)), t, name)
        elif known[2] != name:
            raise RuntimeError("Cannot save multiple tensors or storages that view the same data as different types")
        device = t.device
        location = "cpu" if device.type == "cpu" else "%s:%d" % (device.type, device.index or 0)
        numel = _C.storage_nbytes(t) // t.element_size()
        if name in STORAGE_NAMES:
            kind, make, extra = STORAGE_NAMES[name], "_rebuild_tensor_v2", ()
        else:
            kind, make, extra = "UntypedStorage", "_rebuild_tensor_v3", (t.dtype,)
            numel *= t.element_size()
        module = "torch.storage" if kind == "UntypedStorage" else "torch"
        storage = _StorageId(("storage", self._named(module, kind), known[0], location, numel))
        return (self._named("torch._utils", make),
                (storage, t.storage_offset(), tuple(t.shape), tuple(t.stride()), t.requires_grad, OrderedDict()) + extra)

    def save_reduce(self, func, args, *rest, **kwargs):
        if type(func) is _Global:  # save_reduce wants something callable
            self.save(func)
            self.save(args)
            self.write(pickle.REDUCE)
            obj = kwargs.get("obj")
            if obj is not None and id(obj) not in self.memo:
                self.memoize(obj)
            return
        super().save_reduce(func, args, *rest, **kwargs)

    def save_global(self, obj, name=None):
        if type(obj) is _Global:
            module, name = obj.module, obj.name
        elif obj.__class__ is type and obj in _PLACES or isinstance(obj, type) and obj in _PLACES:
            module, name = _PLACES[obj]
        elif type(obj) is _C.dtype:
            module = "torch"
        else:
            if name is None:
                name = getattr(obj, "__qualname__", None) or obj.__name__
            module = pickle.whichmodule(obj, name)
            root = module.partition(".")[0]
            if root not in ("taper", "torch") or "<locals>" in name:
                return super().save_global(obj, name)
            module = "torch" + module[5:] if root == "taper" else module
            module = module.replace("torch._C.ops", "torch").replace("torch._C", "torch")
        if self.proto >= 4:
            self.save(module)
            self.save(name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + module.encode("utf-8") + b"\n" + name.encode("utf-8") + b"\n")
        self.memoize(obj)

    dispatch = dict(pickle._Pickler.dispatch)
    dispatch[type(pickle.whichmodule)] = save_global
    dispatch[type(len)] = save_global

    def save_type(self, obj):
        if obj in (type(None), type(NotImplemented), type(...)):
            return pickle._Pickler.save_type(self, obj)
        return self.save_global(obj)

    dispatch[type] = save_type


def _entry(archive, name, data):
    """One stored member whose bytes start at a multiple of 64, so that files can be mapped."""
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    big = len(data) > 0x7FFFFFFF
    at = archive.fp.tell() + 30 + len(name.encode("utf-8")) + (20 if big else 0)
    pad = -(at + 4) % 64
    info.extra = struct.pack("<HH", 0x4246, pad) + b"Z" * pad
    with archive.open(info, "w", force_zip64=big) as f:
        f.write(data)


def write(obj, file, stem, protocol):
    out = io.BytesIO()
    pickler = TorchPickler(out, protocol)
    pickler.dump(obj)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        _entry(archive, stem + "/data.pkl", out.getvalue())
        _entry(archive, stem + "/byteorder", b"little")
        for number, tensor, _ in pickler.storages.values():
            _entry(archive, stem + "/data/" + number, _C.storage_bytes(tensor))
        _entry(archive, stem + "/version", b"3\n")


_numbers = itertools.count()


def _lock(fd):
    """A writer holds a lock on its file as long as it lives: what nobody holds was left by a killed save."""
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False


def _sweep(folder, name):
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for n in names:
        if n.startswith(".%s." % name) and n.endswith(".tmp") and not n[len(name) + 2:-4].strip("0123456789-"):
            try:
                fd = os.open(os.path.join(folder, n), os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            except OSError:
                continue
            try:
                if _lock(fd):
                    os.unlink(os.path.join(folder, n))
            except OSError:
                pass
            finally:
                os.close(fd)


def _create(folder, aside):
    """(descriptor, named). Where the file system can, the file has no name before it is whole, so that a kill leaves nothing."""
    try:
        fd = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666)
        if os.path.exists("/proc/self/fd/%d" % fd):
            _lock(fd)
            return fd, False
        os.close(fd)
    except OSError:
        pass
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    _lock(fd)
    return fd, True


def _sync_folder(folder):
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.fsync(fd)
    except OSError:
        pass
    finally:
        os.close(fd)


def write_path(obj, path, protocol):
    """Writes beside the old file and renames: a save that is killed leaves the old file whole."""
    path = os.path.realpath(os.fspath(path))
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise RuntimeError("Parent directory %s does not exist." % folder)
    stem = os.path.splitext(os.path.basename(path))[0] or "archive"
    if os.path.exists(path) and not os.path.isfile(path):  # a device or a pipe
        with open(path, "wb") as f:
            return write(obj, f, stem, protocol)
    name = os.path.basename(path)[:200]
    _sweep(folder, name)
    aside = os.path.join(folder, ".%s.%d-%d.tmp" % (name, os.getpid(), next(_numbers)))
    fd, named = _create(folder, aside)
    try:
        with open(fd, "wb") as f:
            write(obj, f, stem, protocol)
            f.flush()
            os.fsync(fd)
            if not named:  # rename() cannot take a file without a name: it gets one for a moment
                os.link("/proc/self/fd/%d" % fd, aside, src_dir_fd=fd)  # a src_dir_fd, unused: only so are links followed
                named = True
            os.replace(aside, path)
        _sync_folder(folder)
    except BaseException:
        if named:
            try:
                os.unlink(aside)
            except OSError:
                pass
        raise
