"""torch.storage: the memory behind tensors, which views of it share."""
from . import _C

_ops = _C.ops


class UntypedStorage:
    """The bytes of a tensor's storage."""

    def __init__(self, tensor):
        if not isinstance(tensor, _C.Tensor):
            raise TypeError("%s: expected a tensor, got %s" % (type(self).__name__, type(tensor).__name__))
        self._tensor = tensor.detach()

    def _flat(self):
        n = _C.storage_nbytes(self._tensor) // self._tensor.element_size()
        return self._tensor.as_strided((n,), (1,), 0)

    def nbytes(self):
        return _C.storage_nbytes(self._tensor)

    def size(self):
        return self.nbytes()

    __len__ = size

    def element_size(self):
        return 1

    def data_ptr(self):
        return self._tensor.data_ptr() - self._tensor.storage_offset() * self._tensor.element_size()

    @property
    def device(self):
        return self._tensor.device

    def is_shared(self):
        return self._tensor.is_shared()

    def tolist(self):
        return list(bytes(_C.storage_bytes(self._tensor)))

    def __getitem__(self, index):
        return bytes(_C.storage_bytes(self._tensor))[index]

    def __eq__(self, other):
        return isinstance(other, UntypedStorage) and _C.storage_key(self._tensor) == _C.storage_key(other._tensor)

    def __hash__(self):
        return _C.storage_key(self._tensor)


class TypedStorage(UntypedStorage):
    """The storage as elements of the tensor's dtype."""

    @property
    def dtype(self):
        return self._tensor.dtype

    def untyped(self):
        return UntypedStorage(self._tensor)

    def size(self):
        return self.nbytes() // self._tensor.element_size()

    __len__ = size

    def element_size(self):
        return self._tensor.element_size()

    def tolist(self):
        return self._flat().tolist()

    def __getitem__(self, index):
        found = self._flat()[index]
        return found.tolist()

    def __setitem__(self, index, value):
        self._flat()[index] = value
