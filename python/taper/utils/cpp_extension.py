"""C++ extensions are compiled against libtorch and cannot be loaded here."""

CUDA_HOME = None


def _refuse(*args, **kwargs):
    raise NotImplementedError("torch.utils.cpp_extension: extensions are compiled against libtorch, which taper is not; write the operator "
                              "against <taper/op.h> instead")


load = load_inline = CppExtension = CUDAExtension = include_paths = library_paths = _refuse


class BuildExtension:
    def __new__(cls, *args, **kwargs):
        _refuse()

    with_options = classmethod(lambda cls, **kwargs: _refuse())
