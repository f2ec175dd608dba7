"""Streams and events."""
from .. import _C
from ._devices import _index, _need


class Stream:
    """A queue of work on one GPU."""

    def __init__(self, device=None, priority=0, *, _handle=None, **kwargs):
        if _handle is None:
            _need()
            _handle = _C.CudaStream(_index(device), priority)
        self._handle = _handle

    @property
    def device(self):
        return _C.device("cuda", self._handle.device)

    @property
    def device_index(self):
        return self._handle.device

    @property
    def cuda_stream(self):
        return self._handle.handle

    @property
    def priority(self):
        return self._handle.priority

    def synchronize(self):
        self._handle.synchronize()

    def query(self):
        return self._handle.query()

    def wait_stream(self, stream):
        self._handle.wait_stream(stream._handle)

    def wait_event(self, event):
        self._handle.wait_event(event._handle)

    def record_event(self, event=None):
        event = Event() if event is None else event
        event.record(self)
        return event

    def __eq__(self, other):
        return isinstance(other, Stream) and self.cuda_stream == other.cuda_stream and self.device_index == other.device_index

    def __hash__(self):
        return hash((self.cuda_stream, self.device_index))

    def __repr__(self):
        return "<torch.cuda.Stream device=%s cuda_stream=%#x>" % (self.device, self.cuda_stream)

    def __enter__(self):
        self._context = stream(self)
        return self._context.__enter__()

    def __exit__(self, *exc):
        return self._context.__exit__(*exc)


class ExternalStream(Stream):
    """A stream made elsewhere."""

    def __init__(self, stream_ptr, device=None):
        super().__init__(_handle=_C.CudaStream.wrap(_index(device), stream_ptr))


class Event:
    """A mark in a stream."""

    def __init__(self, enable_timing=False, blocking=False, interprocess=False, external=False):
        if interprocess:
            raise NotImplementedError("torch.cuda.Event(interprocess=True): events are not shared between processes")
        _need()
        self._handle = _C.CudaEvent(enable_timing, blocking)

    def record(self, stream=None):
        self._handle.record(None if stream is None else stream._handle)

    def wait(self, stream=None):
        (current_stream() if stream is None else stream).wait_event(self)

    def query(self):
        return self._handle.query()

    def elapsed_time(self, end_event):
        return self._handle.elapsed(end_event._handle)

    def synchronize(self):
        self._handle.synchronize()

    @property
    def cuda_event(self):
        return self._handle.handle

    def __repr__(self):
        return "<torch.cuda.Event %#x>" % (self.cuda_event or 0)


def current_stream(device=None):
    _need()
    return Stream(_handle=_C.cuda_current_stream(_index(device)))


def default_stream(device=None):
    _need()
    return Stream(_handle=_C.cuda_default_stream(_index(device)))


def set_stream(stream):
    if stream is not None:
        _C.cuda_set_stream(stream._handle)


class StreamContext:
    """Work of the block goes to the stream; the stream's GPU is the current one."""

    def __init__(self, stream):
        self.stream = stream

    def __enter__(self):
        if self.stream is None:
            return
        self.device = _C.cuda_current_device()
        self.previous = _C.cuda_current_stream(self.stream.device_index)
        _C.cuda_set_device(self.stream.device_index)
        _C.cuda_set_stream(self.stream._handle)

    def __exit__(self, *exc):
        if self.stream is not None:
            _C.cuda_set_stream(self.previous)
            _C.cuda_set_device(self.device)
        return False


def stream(stream):
    return StreamContext(stream)
