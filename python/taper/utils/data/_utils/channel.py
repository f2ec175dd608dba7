"""Messages between the loader and a worker: pickles over a socket, with large contents in anonymous memory files.

A frame is a header, the places of the out-of-band buffers, and a body of the pickle followed by the buffers. A body above INLINE
bytes lies in a memory file whose descriptor travels with the frame, so that the other side maps it instead of copying it. No
/dev/shm and no files are used.
"""
import array
import io
import mmap
import os
import pickle
import socket
import struct
from collections import deque
from weakref import WeakSet

from .... import _C

HEADER = struct.Struct("<QQIB")  # bytes of the body, of the pickle in it, number of buffers, body in a file
PLACE = struct.Struct("<QQ")  # offset in the body, bytes
INLINE = 16 * 1024
ALIGN = 64


def _tensor_from(buffer, dtype, shape, requires_grad):
    if 0 in shape:
        t = _C.ops.empty(shape, dtype=dtype)
    else:
        t = _C.ops.frombuffer(buffer, dtype=dtype).reshape(shape)
    return t.requires_grad_() if requires_grad else t


def _parameter_from(buffer, dtype, shape, requires_grad):
    from ....nn.parameter import Parameter

    return Parameter(_tensor_from(buffer, dtype, shape, False), requires_grad)


def _dtype_named(name):
    return getattr(_C, name)


class _Pickler(pickle.Pickler):
    """CPU tensors become buffers beside the pickle."""

    def reducer_override(self, obj):
        if isinstance(obj, _C.Tensor):
            from ....nn.parameter import Parameter

            kind = type(obj)
            if kind is not _C.Tensor and kind is not Parameter:
                return NotImplemented
            if obj.device.type != "cpu":
                raise RuntimeError("DataLoader: a worker made a tensor on %s; workers make CPU tensors, move batches in the main process"
                                   % obj.device)
            if obj.requires_grad and not obj.is_leaf:
                raise RuntimeError("Cowardly refusing to serialize non-leaf tensor which requires_grad, since autograd does not support crossing "
                                   "process boundaries.  If you just want to transfer the data, call detach() on the tensor before "
                                   "serializing (e.g., putting it on the queue).")
            t = obj.detach().contiguous()
            size = t.element_size()
            start = t.storage_offset() * size
            data = _C.storage_bytes(t)[start : start + t.numel() * size]
            make = _tensor_from if kind is _C.Tensor else _parameter_from
            return make, (pickle.PickleBuffer(data), t.dtype, tuple(t.shape), obj.requires_grad)
        if isinstance(obj, _C.dtype):
            return _dtype_named, (str(obj)[6:],)
        return NotImplemented


def _encode(obj):
    """obj -> (pickle, buffers)."""
    buffers = []
    out = io.BytesIO()
    _Pickler(out, 5, buffer_callback=lambda b: buffers.append(b.raw())).dump(obj)
    return out.getbuffer(), buffers


def _memory_file(size):
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("taper-batch", os.MFD_CLOEXEC)
    else:
        import tempfile

        with tempfile.TemporaryFile() as f:
            fd = os.dup(f.fileno())
    os.ftruncate(fd, size)
    return fd


def _frame(obj):
    """obj -> (bytes to send, descriptor to send or None)."""
    body, buffers = _encode(obj)
    places, at = [], len(body)
    for b in buffers:
        at = (at + ALIGN - 1) // ALIGN * ALIGN
        places.append((at, b.nbytes))
        at += b.nbytes
    total, in_file = at, at > INLINE
    head = [HEADER.pack(total, len(body), len(places), in_file)] + [PLACE.pack(*p) for p in places]
    if not in_file:
        whole = bytearray(total)
        whole[: len(body)] = body
        for (start, n), b in zip(places, buffers):
            whole[start : start + n] = b
        return b"".join(head) + whole, None
    fd = _memory_file(total)
    try:
        _write_at(fd, body, 0)
        for (start, _), b in zip(places, buffers):
            _write_at(fd, b, start)
    except BaseException:
        os.close(fd)
        raise
    return b"".join(head), fd


def _write_at(fd, data, offset):
    data = memoryview(data).cast("B")
    while len(data):
        n = os.pwrite(fd, data, offset)
        data, offset = data[n:], offset + n


def _decode(body, pickled, places):
    body = memoryview(body)
    return pickle.loads(body[:pickled], buffers=[body[start : start + n] for start, n in places])


_open = WeakSet()


def close_inherited(mine):
    """In a new worker: lets go of the ends that fork copied, so that only their owners keep them open."""
    for c in list(_open):
        if c is not mine:
            c.sock.close()


class Channel:
    """One end of a socket pair."""

    def __init__(self, sock):
        self.sock = sock
        self.received = bytearray()
        self.descriptors = deque()
        self.waiting = deque()  # frames not yet sent: [memoryview, descriptor or None]
        self.ended = False
        _open.add(self)

    @staticmethod
    def pair():
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        return Channel(a), Channel(b)

    def __reduce__(self):  # to spawned workers
        return _channel_from, (self.sock,)

    def fileno(self):
        return self.sock.fileno()

    def close(self, shut=False):
        """shut: ends the connection itself, even where a forked process still holds a copy of this end."""
        self.ended = True
        if shut:
            try:
                self.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.sock.close()
        for fd in self.descriptors:
            os.close(fd)
        self.descriptors.clear()
        for _, fd in self.waiting:
            if fd is not None:
                os.close(fd)
        self.waiting.clear()

    def send(self, obj):
        """Sends all, waiting where the other side is slow."""
        self.put(obj)
        while not self.flush(True):
            pass

    def put(self, obj):
        data, fd = _frame(obj)
        self.waiting.append([memoryview(data), fd])

    def flush(self, block=False):
        """Sends what the socket takes; True when nothing is left."""
        flags = 0 if block else socket.MSG_DONTWAIT
        while self.waiting:
            item = self.waiting[0]
            try:
                if item[1] is not None:
                    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [item[1]]))]
                    n = self.sock.sendmsg([item[0]], rights, flags)
                    os.close(item[1])
                    item[1] = None
                else:
                    n = self.sock.send(item[0], flags)
            except BlockingIOError:
                return False
            item[0] = item[0][n:]
            if not len(item[0]):
                self.waiting.popleft()
        return True

    def read(self, block):
        """Takes what has arrived; False at the end of the stream."""
        try:
            data, rights, _, _ = self.sock.recvmsg(1 << 16, socket.CMSG_SPACE(64 * 4), 0 if block else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            data, rights = b"", ()
        for level, kind, payload in rights:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds = array.array("i")
                fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
                self.descriptors.extend(fds)
        if not data:
            self.ended = True
            return False
        self.received += data
        return True

    def take(self):
        """(True, object) when a whole frame is here, else (False, None)."""
        r = self.received
        if len(r) < HEADER.size:
            return False, None
        total, pickled, count, in_file = HEADER.unpack_from(r)
        head = HEADER.size + count * PLACE.size
        need = head if in_file else head + total
        if len(r) < need:
            return False, None
        places = [PLACE.unpack_from(r, HEADER.size + i * PLACE.size) for i in range(count)]
        if in_file:
            del r[:head]
            fd = self.descriptors.popleft()
            try:
                body = mmap.mmap(fd, total)
            finally:
                os.close(fd)
        else:
            body = r[head:need]
            del r[:need]
        return True, _decode(body, pickled, places)

    def receive(self):
        """The next object; EOFError when the other side is gone."""
        while True:
            found, obj = self.take()
            if found:
                return obj
            if not self.read(True):
                raise EOFError


def _channel_from(sock):
    return Channel(sock)
