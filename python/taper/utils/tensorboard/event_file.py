"""Records of an event file: length, its checksum, data, its checksum. Stands in where the extension has no EventWriter."""
import os
import socket
import struct
import time

from .summary import field, tensor_text, value

_TABLE = []
for _i in range(256):
    for _ in range(8):
        _i = _i >> 1 ^ (0x82F63B78 if _i & 1 else 0)
    _TABLE.append(_i)
_count = 0


def masked_crc(data):
    crc = 0xFFFFFFFF
    for b in data:
        crc = _TABLE[(crc ^ b) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


class EventWriter:
    """Same methods as the extension's."""

    def __init__(self, folder, suffix=""):
        global _count
        os.makedirs(folder, exist_ok=True)
        now = time.time()
        self.path = os.path.join(folder, "events.out.tfevents.%010d.%s.%d.%d%s" % (now, socket.gethostname(), os.getpid(), _count, suffix))
        _count += 1
        self.file = open(self.path, "wb")
        self._record(field(1, now) + field(3, "brain.Event:2"))

    def _record(self, event):
        head = struct.pack("<Q", len(event))
        self.file.write(head + struct.pack("<I", masked_crc(head)) + event + struct.pack("<I", masked_crc(event)))

    def summary(self, summary, step, wall_time=-1.0):
        when = time.time() if wall_time is None or wall_time < 0 else wall_time
        self._record(field(1, float(when)) + (field(2, int(step)) if step else b"") + field(5, summary))

    def scalar(self, tag, number, step, wall_time=-1.0):
        self.summary(value(tag, bytes([2 << 3 | 5]) + struct.pack("<f", number), "scalars"), step, wall_time)

    def text(self, tag, text, step, wall_time=-1.0):
        self.summary(tensor_text(tag, text), step, wall_time)

    def histogram(self, tag, values, step, wall_time=-1.0):
        """TensorBoard's exponential buckets, from -1e20 to 1e20 by factors of 1.1."""
        import bisect

        limits, x = [], 1e-12
        while x < 1e20:
            limits.append(x)
            x *= 1.1
        limits = [-v for v in reversed(limits)] + [0.0] + limits + [1.7976931348623157e308]
        numbers = [float(v) for v in values.detach().double().cpu().reshape(-1).tolist()]
        if not numbers:
            raise ValueError("The histogram is empty, please file a bug report.")
        counts = [0] * len(limits)
        for v in numbers:
            counts[bisect.bisect_left(limits, v)] += 1
        used = [i for i, c in enumerate(counts) if c]
        a, b = max(used[0] - 1, 0), min(used[-1] + 2, len(limits))
        packed = struct.pack("<%dd" % (b - a), *limits[a:b]), struct.pack("<%dd" % (b - a), *map(float, counts[a:b]))
        histo = b"".join(field(n, v) for n, v in ((1, min(numbers)), (2, max(numbers)), (3, float(len(numbers))), (4, sum(numbers)),
                                                  (5, sum(v * v for v in numbers)))) + field(6, packed[0]) + field(7, packed[1])
        self.summary(value(tag, field(5, histo)), step, wall_time)

    def image(self, tag, pixels, height, width, channels, step, wall_time=-1.0):
        import zlib

        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        row = width * channels
        raw = b"".join(b"\0" + pixels[y * row : (y + 1) * row] for y in range(height))
        kind = {1: 0, 3: 2, 4: 6}[channels]
        png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)) + \
            chunk(b"IDAT", zlib.compress(raw, 6)) + chunk(b"IEND", b"")
        image = field(1, height) + field(2, width) + field(3, channels) + field(4, png)
        self.summary(value(tag, field(4, image)), step, wall_time)

    def flush(self):
        self.file.flush()

    def close(self):
        self.file.close()
