"""The error for names that PyTorch has and taper has not: hasattr() says no, use says why."""


class Absent(NotImplementedError, AttributeError):
    pass
