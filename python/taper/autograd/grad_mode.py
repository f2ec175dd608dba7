"""Switches of gradient recording, usable as contexts and as decorators of functions, generators and (no_grad only) classes."""
from functools import wraps

from .. import _C

__all__ = ["no_grad", "enable_grad", "set_grad_enabled", "inference_mode", "set_multithreading_enabled"]

_set_grad = _C.set_grad_enabled
_set_inference = _C.set_inference_mode


def _wrap_generator(make, function):
    """A generator that runs each of its steps, and only these, inside the context."""

    @wraps(function)
    def stepped(*args, **kwargs):
        inner = function(*args, **kwargs)
        try:
            with make():
                value = inner.send(None)
            while True:
                try:
                    request = yield value
                except GeneratorExit:
                    with make():
                        inner.close()
                    raise
                except BaseException as error:
                    with make():
                        value = inner.throw(error)
                else:
                    with make():
                        value = inner.send(request)
        except StopIteration as stop:
            return stop.value

    return stepped


class _Context:
    """Base: clone() gives a fresh context of the same setting, so that a decorated function can be entered again and again."""

    __slots__ = ("prev",)

    def clone(self):
        return type(self)()

    def __call__(self, function):
        make = self.clone
        if isinstance(function, type):
            import warnings

            warnings.warn("Decorating classes is deprecated and will be disabled in future versions. You should only decorate "
                          "functions or methods.", FutureWarning, stacklevel=2)
            function.__init__ = self(function.__init__)
            return function
        code = getattr(function, "__code__", None)
        if code is not None and code.co_flags & 0x20:  # a generator function
            return _wrap_generator(make, function)

        @wraps(function)
        def decorated(*args, **kwargs):
            with make():
                return function(*args, **kwargs)

        return decorated


class _GradContext(_Context):
    __slots__ = ()

    def __new__(cls, function=None):
        self = object.__new__(cls)
        if function is None:
            return self
        return self(function)  # @torch.no_grad without parentheses

    def __enter__(self):
        self.prev = _set_grad(self.mode)

    def __exit__(self, *exc):
        _set_grad(self.prev)


class no_grad(_GradContext):
    """Results made inside do not require gradients."""

    __slots__ = ()
    mode = False


class enable_grad(_GradContext):
    """Records again inside of no_grad."""

    __slots__ = ()
    mode = True


class set_grad_enabled(_Context):
    """Sets the mode at once; as a context or decorator, puts the old one back at the end."""

    __slots__ = ("mode",)

    def __init__(self, mode):
        self.mode = bool(mode)
        self.prev = _set_grad(self.mode)

    def clone(self):
        return set_grad_enabled(self.mode)

    def __call__(self, function):
        _set_grad(self.prev)
        return super().__call__(function)

    def __enter__(self):
        _set_grad(self.mode)

    def __exit__(self, *exc):
        _set_grad(self.prev)

    def __str__(self):
        return "torch.autograd.grad_mode.set_grad_enabled(mode=%s)" % self.mode

    __repr__ = __str__


class inference_mode(_Context):
    """no_grad, and without version counting: tensors made inside never take part in autograd."""

    __slots__ = ("mode", "prev_grad")

    def __new__(cls, mode=True):
        self = object.__new__(cls)
        if isinstance(mode, (bool, int)):
            self.mode = bool(mode)
            return self
        self.mode = True
        return self(mode)

    def clone(self):
        return inference_mode(self.mode)

    def __enter__(self):
        self.prev = _set_inference(self.mode)
        self.prev_grad = _set_grad(not self.mode)

    def __exit__(self, *exc):
        _set_grad(self.prev_grad)
        _set_inference(self.prev)


class set_multithreading_enabled(_Context):
    """Backward runs on the calling thread; this changes nothing."""

    __slots__ = ("mode",)

    def __init__(self, mode):
        self.mode = mode

    def clone(self):
        return set_multithreading_enabled(self.mode)

    def __enter__(self):
        pass

    def __exit__(self, *exc):
        pass
