"""Grids of images, and writing them as PNG."""
import math
import struct
import zlib

import torch

__all__ = ["make_grid", "save_image"]


def make_grid(tensor, nrow=8, padding=2, normalize=False, value_range=None, scale_each=False, pad_value=0.0, **kwargs):
    """Images (N, C, H, W), (C, H, W) or (H, W) -> one image (3, H', W')."""
    if isinstance(tensor, (list, tuple)):
        tensor = torch.stack(list(tensor), 0)
    tensor = tensor.detach()
    if tensor.dim() == 2:
        tensor = tensor.unsqueeze(0)
    if tensor.dim() == 3:
        tensor = tensor.unsqueeze(0)
    if tensor.shape[1] == 1:
        tensor = tensor.expand(-1, 3, -1, -1)
    if normalize:
        def scaled(t):
            low, high = value_range if value_range is not None else (float(t.min()), float(t.max()))
            return (t.clamp(low, high) - low) / max(high - low, 1e-5)

        tensor = torch.stack([scaled(t) for t in tensor]) if scale_each else scaled(tensor)
    n, c, h, w = tensor.shape
    if n == 1:
        return tensor[0]
    columns = min(nrow, n)
    rows = int(math.ceil(n / columns))
    height, width = h + padding, w + padding
    grid = torch.full((c, height * rows + padding, width * columns + padding), pad_value, dtype=tensor.dtype, device=tensor.device)
    for k in range(n):
        y, x = k // columns * height + padding, k % columns * width + padding
        grid[:, y : y + h, x : x + w] = tensor[k]
    return grid


def save_image(tensor, fp, format=None, **kwargs):
    """Values 0..1, written as PNG (other formats need Pillow)."""
    grid = make_grid(tensor, **kwargs)
    pixels = grid.mul(255).add_(0.5).clamp_(0, 255).permute(1, 2, 0).to("cpu", torch.uint8).contiguous()
    height, width, _ = pixels.shape
    data = bytes(pixels.reshape(-1).tolist())
    name = str(fp).lower()
    if format not in (None, "png", "PNG") or not name.endswith(".png") and not hasattr(fp, "write"):
        from PIL import Image

        Image.frombytes("RGB", (width, height), data).save(fp, format=format)
        return

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    raw = b"".join(b"\0" + data[y * width * 3 : (y + 1) * width * 3] for y in range(height))
    png = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(raw))
           + chunk(b"IEND", b""))
    if hasattr(fp, "write"):
        fp.write(png)
    else:
        with open(fp, "wb") as f:
            f.write(png)
