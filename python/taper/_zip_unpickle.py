"""Reading torch's files where the library's own parser is not enough: whole modules, allowed classes, old formats."""
import io
import mmap
import os
import pickle
import struct
import zipfile
import zlib
from collections import Counter, OrderedDict

from . import _C, _utils
from ._zip_pickle import STORAGE_DTYPES

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


class Storage:
    """Bytes of a storage on their way into tensors; map_location functions see this object."""

    def __init__(self, data, dtype, location):
        self.data, self.dtype, self.location = data, dtype, location  # data: one-dimensional tensor of dtype

    @property
    def device(self):
        return self.data.device

    def _moved(self, device):
        return Storage(self.data.to(device), self.dtype, str(device))

    def cpu(self):
        return self._moved("cpu")

    def cuda(self, device=None):
        return self._moved(_C.device("cuda") if device is None else _C.device("cuda", int(device)))

    def size(self):
        return self.data.numel()

    def nbytes(self):
        return self.data.numel() * self.data.element_size()

    def _with_dtype(self, dtype):
        return Storage(self.data.view(dtype), dtype, self.location)

    def _tensor(self, offset, size, stride):
        return self.data.as_strided(tuple(size), tuple(stride), offset).detach()


def _typed(buffer, dtype, offset=0, nbytes=None):
    nbytes = len(buffer) - offset if nbytes is None else nbytes
    count = nbytes // _C.ops.empty(0, dtype=dtype).element_size()
    if not count:
        return _C.ops.empty(0, dtype=dtype)
    return _C.ops.frombuffer(buffer, dtype=dtype, count=count, offset=offset)


def default_location(storage, location):
    if location == "cpu" or location is None or location == "":
        return storage
    kind, _, index = location.partition(":")
    if kind == "cuda":
        n = _C.cuda_device_count()
        if not n:
            raise RuntimeError("Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False. If you are running on "
                               "a CPU-only machine, please use torch.load with map_location=torch.device('cpu') to map your storages to the "
                               "CPU.")
        if int(index or 0) >= n:
            raise RuntimeError("Attempting to deserialize object on CUDA device %s but torch.cuda.device_count() is %d. Please use torch.load "
                               "with map_location to map your storages to an existing device." % (index or 0, n))
        return storage._moved(_C.device(location))
    if kind == "meta":
        return storage._moved("meta")
    raise RuntimeError("don't know how to restore data location of torch.storage.UntypedStorage (tagged with %s)" % location)


def restorer(map_location):
    if map_location is None:
        return default_location
    if isinstance(map_location, dict):
        return lambda storage, location: default_location(storage, map_location.get(location, location))
    if isinstance(map_location, (str, bytes, int, _C.device)) and not isinstance(map_location, bool):
        target = map_location.decode("ascii") if isinstance(map_location, bytes) else map_location
        target = str(_C.device(target))
        return lambda storage, location: default_location(storage, target)

    def call(storage, location):
        result = map_location(storage, location)
        return default_location(storage, location) if result is None else result

    return call


# ---- what names become ----
class _StorageType:
    def __init__(self, dtype):
        self.dtype = dtype


def _encode(text, encoding):
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("_codecs.encode with %r is not allowed" % (encoding,))
    return text.encode("latin1")


def _allowed_table():
    from .nn.parameter import Buffer, Parameter

    table = {
        "collections.OrderedDict": OrderedDict, "collections.Counter": Counter, "builtins.set": set, "__builtin__.set": set,
        "builtins.frozenset": frozenset, "__builtin__.frozenset": frozenset, "builtins.bytearray": bytearray,
        "__builtin__.bytearray": bytearray, "_codecs.encode": _encode, "builtins.complex": complex, "__builtin__.complex": complex,
        "torch.Size": _C.Size, "torch.device": _C.device, "torch.Tensor": _C.Tensor, "torch._tensor.Tensor": _C.Tensor,
        "torch.nn.parameter.Parameter": Parameter, "torch.nn.parameter.Buffer": Buffer,
        "torch._tensor._rebuild_from_type_v2": _utils._rebuild_from_type_v2,
    }
    for name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_parameter", "_rebuild_parameter_with_state",
                 "_rebuild_meta_tensor_no_storage"):
        table["torch._utils." + name] = getattr(_utils, name)
    for storage, dtype in STORAGE_DTYPES.items():
        table["torch." + storage] = table["torch.storage." + storage] = _StorageType(getattr(_C, dtype))
    table["torch.storage.UntypedStorage"] = table["torch.UntypedStorage"] = _StorageType(_C.uint8)
    for name in dir(_C):
        if isinstance(getattr(_C, name), _C.dtype):
            table["torch." + name] = getattr(_C, name)
    return table


def _real_name(module):
    """torch.x is taper.x, whether or not `torch` stands for taper in this process."""
    return "taper" + module[5:] if module == "torch" or module.startswith("torch.") else module


class _Persistent:
    """Shared by both unpicklers: storages by their key."""

    def persistent_load(self, saved):
        if isinstance(saved, tuple) and saved and saved[0] == "storage":
            kind, key, location, numel = saved[1:5]
            if not isinstance(kind, _StorageType):
                raise pickle.UnpicklingError("Unsupported storage type: %r" % (kind,))
            return self.load_storage(kind.dtype, key, location, numel, *saved[5:])
        raise pickle.UnpicklingError("Unsupported persistent id: %r" % (saved,))


class FullUnpickler(_Persistent, pickle.Unpickler):
    """For weights_only=False: any class of any module."""

    def find_class(self, module, name):
        if module in ("torch", "torch.storage") and (name in STORAGE_DTYPES or name == "UntypedStorage"):
            return _allowed_table()[module + "." + name]
        if module in ("torch._tensor", "torch") and name in ("_rebuild_from_type_v2", "Tensor"):
            return _allowed_table()["torch._tensor." + name]
        return super().find_class(_real_name(module), name)


class SafeUnpickler(_Persistent, pickle._Unpickler):
    """For weights_only=True: names of a list only, and state only for objects that need it."""

    def __init__(self, file, user, **kwargs):
        super().__init__(file, **kwargs)
        self.table = _allowed_table()
        self.user = user  # name -> object that the program allowed

    def find_class(self, module, name):
        full = module + "." + name
        if full in self.table:
            return self.table[full]
        if full in self.user:
            return self.user[full]
        raise pickle.UnpicklingError(
            "Unsupported global: GLOBAL %s was not an allowed global by default. Please use `torch.serialization.add_safe_globals([%s])` or "
            "the `torch.serialization.safe_globals([%s])` context manager to allowlist this global if you trust this class/function."
            % (full, name, name))

    def _check_callable(self, func):
        if not (any(func is v for v in self.table.values()) or any(func is v for v in self.user.values())):
            raise pickle.UnpicklingError("Trying to call reduce for unrecognized function %r" % (func,))

    def load_reduce(self):
        self._check_callable(self.stack[-2])
        super().load_reduce()

    def load_newobj(self):
        self._check_callable(self.stack[-2])
        super().load_newobj()

    def load_build(self):
        inst = self.stack[-2]
        kind = type(inst)
        if kind is OrderedDict:
            state = self.stack.pop()
            if not isinstance(state, dict):
                raise pickle.UnpicklingError("Can only build OrderedDict with a dictionary")
            inst.__dict__.update(state)
        elif isinstance(inst, _C.Tensor) or any(kind is v for v in self.user.values()):
            super().load_build()
        else:
            raise pickle.UnpicklingError("Can only build Tensor, Parameter, OrderedDict or types allowlisted via `add_safe_globals`, but got %s"
                                         % kind)

    def _refuse(self):
        raise pickle.UnpicklingError("Unsupported opcode")

    dispatch = dict(pickle._Unpickler.dispatch)
    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.NEWOBJ[0]] = load_newobj
    dispatch[pickle.BUILD[0]] = load_build
    for _op in (pickle.NEWOBJ_EX, pickle.INST, pickle.OBJ, pickle.EXT1, pickle.EXT2, pickle.EXT4):
        dispatch[_op[0]] = _refuse


# ---- files ----
class ZipReader:
    def __init__(self, file, path=None, use_mmap=False):
        self.file = file
        self.archive = zipfile.ZipFile(file)
        pickles = [n for n in self.archive.namelist() if n.endswith("data.pkl")]
        if not pickles:
            raise RuntimeError("PytorchStreamReader failed locating file data.pkl: file not found")
        self.prefix = pickles[0][: -len("data.pkl")]
        self.map = None
        if use_mmap:
            self.map = mmap.mmap(os.open(path, os.O_RDONLY), 0, access=mmap.ACCESS_COPY)

    def pickle(self):
        return self.archive.read(self.prefix + "data.pkl")

    def storage(self, key, dtype):
        try:
            info = self.archive.getinfo(self.prefix + "data/" + key)
        except KeyError:
            raise RuntimeError("PytorchStreamReader failed locating file data/%s: file not found" % key) from None
        if info.compress_type != zipfile.ZIP_STORED:
            return _typed(bytearray(self.archive.read(info)), dtype)
        self.file.seek(info.header_offset)
        header = self.file.read(30)
        at = info.header_offset + 30 + sum(struct.unpack("<HH", header[26:30]))
        if self.map is not None:
            return _typed(self.map, dtype, at, info.file_size)
        self.file.seek(at)
        data = bytearray(info.file_size)
        view, got = memoryview(data), 0
        while got < len(data):
            n = self.file.readinto(view[got:]) if hasattr(self.file, "readinto") else self._copy(view[got:])
            if not n:
                raise RuntimeError("PytorchStreamReader failed reading file data/%s: file read failed" % key)
            got += n
        if zlib.crc32(data) != info.CRC:
            raise RuntimeError("PytorchStreamReader failed reading file data/%s: checksum does not match" % key)
        return _typed(data, dtype)

    def _copy(self, view):
        piece = self.file.read(len(view))
        view[: len(piece)] = piece
        return len(piece)


def _unpickler(data, user, encoding):
    return FullUnpickler(data, encoding=encoding) if user is None else SafeUnpickler(data, user, encoding=encoding)


def read_zip(file, path, map_location, user, encoding, use_mmap):
    """user: None allows everything (weights_only=False), else the names that the program added to the list."""
    reader = ZipReader(file, path, use_mmap)
    restore = restorer(map_location)
    loaded = {}

    def load_storage(dtype, key, location, numel, *_):
        if key not in loaded:
            loaded[key] = restore(Storage(reader.storage(key, dtype), dtype, location), location)
        return loaded[key]

    unpickler = _unpickler(io.BytesIO(reader.pickle()), user, encoding)
    unpickler.load_storage = load_storage
    return unpickler.load()


def read_legacy(file, map_location, user, encoding):
    """The format before 1.6: five pickles, then the storages."""
    restore = restorer(map_location)
    if _unpickler(file, {} if user is not None else None, encoding).load() != LEGACY_MAGIC:
        raise RuntimeError("Invalid magic number; corrupt file?")
    if _unpickler(file, {} if user is not None else None, encoding).load() != 1001:
        raise RuntimeError("Invalid protocol version: this file is not of the format that torch.load reads")
    _unpickler(file, {} if user is not None else None, encoding).load()
    storages = {}

    def load_storage(dtype, key, location, numel, view=None):
        if key not in storages:
            data = bytearray(numel * _C.ops.empty(0, dtype=dtype).element_size())
            storages[key] = (data, restore(Storage(_typed(data, dtype), dtype, location), location))
        storage = storages[key][1]
        if view is not None:
            _, offset, size = view
            return Storage(storage.data[offset : offset + size], dtype, location)
        return storage

    unpickler = _unpickler(file, user, encoding)
    unpickler.load_storage = load_storage
    result = unpickler.load()
    for key in _unpickler(file, {} if user is not None else None, encoding).load():
        (numel,) = struct.unpack("<q", file.read(8))
        data, storage = storages[key]
        size = storage.data.element_size()
        if numel * size != len(data):
            raise RuntimeError("storage has wrong byte size: expected %d got %d" % (len(data), numel * size))
        content = file.read(len(data))
        if len(content) != len(data):
            raise EOFError("the file ends inside a storage")
        data[:] = content
        if storage.data.device.type != "cpu":
            storage.data.copy_(_typed(data, storage.dtype))
    return result
