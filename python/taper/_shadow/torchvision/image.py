"""Images: PIL's where it is installed, else the little that the transforms need."""


class Image:
    """8-bit pixels, row by row. mode "L" (1 byte) or "RGB" (3 bytes)."""

    def __init__(self, mode, size, data):
        self.mode, self.size, self._data = mode, size, bytes(data)

    def tobytes(self):
        return self._data

    def getbands(self):
        return tuple(self.mode)

    def convert(self, mode):
        if mode == self.mode:
            return self
        if (self.mode, mode) == ("L", "RGB"):
            return Image("RGB", self.size, b"".join(bytes((v,)) * 3 for v in self._data))
        d = self._data
        return Image("L", self.size, bytes((299 * d[i] + 587 * d[i + 1] + 114 * d[i + 2]) // 1000 for i in range(0, len(d), 3)))

    def crop(self, box):
        left, top, right, bottom = box
        n, (width, height) = len(self.mode), self.size
        rows = []
        for y in range(top, bottom):
            row = bytearray((right - left) * n)
            if 0 <= y < height:
                a, b = max(left, 0), min(right, width)
                if a < b:
                    row[(a - left) * n : (b - left) * n] = self._data[(y * width + a) * n : (y * width + b) * n]
            rows.append(bytes(row))
        return Image(self.mode, (right - left, bottom - top), b"".join(rows))

    def flipped(self):
        n, (width, height) = len(self.mode), self.size
        out = bytearray(len(self._data))
        for y in range(height):
            for x in range(width):
                a, b = (y * width + x) * n, (y * width + width - 1 - x) * n
                out[b : b + n] = self._data[a : a + n]
        return Image(self.mode, self.size, out)

    def resized(self, width, height):
        """Nearest pixels: install Pillow for filtered resizing."""
        n, (w, h) = len(self.mode), self.size
        out = bytearray()
        for y in range(height):
            row = y * h // height * w
            for x in range(width):
                a = (row + x * w // width) * n
                out += self._data[a : a + n]
        return Image(self.mode, (width, height), out)

    def __array__(self, dtype=None, copy=None):
        import numpy

        width, height = self.size
        shape = (height, width) if self.mode == "L" else (height, width, 3)
        return numpy.frombuffer(self._data, numpy.uint8).reshape(shape).astype(dtype or numpy.uint8)

    def __repr__(self):
        return "<torchvision.image.Image mode=%s size=%dx%d>" % (self.mode, *self.size)


def from_bytes(mode, size, data):
    try:
        from PIL import Image as pil
    except ImportError:
        return Image(mode, size, data)
    return pil.frombytes(mode, size, bytes(data))


def flip(image):
    if isinstance(image, Image):
        return image.flipped()
    return image.transpose(0)  # PIL's FLIP_LEFT_RIGHT


def resize(image, width, height, interpolation=2):
    if isinstance(image, Image):
        return image.resized(width, height)
    return image.resize((width, height), int(interpolation))
