"""Exchange of tensors with other libraries without a copy, by the DLPack protocol."""
from .. import _C


def to_dlpack(tensor):
    """A capsule that one consumer may take the tensor out of."""
    return _C.to_dlpack(tensor, -1, False)


def from_dlpack(ext_tensor):
    """A tensor on the memory of anything with __dlpack__, or of a capsule."""
    if not hasattr(ext_tensor, "__dlpack__"):
        return _C.from_dlpack(ext_tensor)
    kwargs = {}
    device = ext_tensor.__dlpack_device__()
    if device[0] == 2:
        from .. import cuda

        kwargs["stream"] = cuda.current_stream("cuda:%d" % device[1]).cuda_stream or 1
    try:
        capsule = ext_tensor.__dlpack__(max_version=(1, 0), **kwargs)
    except TypeError:  # from before version 1
        capsule = ext_tensor.__dlpack__(**kwargs)
    return _C.from_dlpack(capsule)


def method(self, *, stream=None, max_version=None, dl_device=None, copy=None):
    """Tensor.__dlpack__"""
    if dl_device is not None and tuple(dl_device) != self.__dlpack_device__():
        raise BufferError("__dlpack__: the tensor is on device %s of DLPack, asked for %s" % (self.__dlpack_device__(), tuple(dl_device)))
    if stream is not None and not isinstance(stream, int):
        raise TypeError("stream must be ``int`` or ``none``")
    return _C.to_dlpack(self.clone() if copy else self, stream, max_version is not None and max_version[0] >= 1)
