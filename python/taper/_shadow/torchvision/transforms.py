"""Transforms of images and of image tensors (C, H, W)."""
import math
import random

import torch

from .image import flip as _flip, from_bytes as _from_bytes, resize as _resized

__all__ = ["Compose", "ToTensor", "PILToTensor", "ToPILImage", "Normalize", "Resize", "Scale", "CenterCrop", "RandomCrop", "RandomResizedCrop",
           "RandomHorizontalFlip", "Pad", "Lambda", "Grayscale", "ConvertImageDtype", "InterpolationMode"]


class InterpolationMode:
    NEAREST, LANCZOS, BILINEAR, BICUBIC = 0, 1, 2, 3


def _is_image(x):
    return hasattr(x, "tobytes") and hasattr(x, "size") and hasattr(x, "mode")


def _size(x):
    """Height and width."""
    return (x.size[1], x.size[0]) if _is_image(x) else (x.shape[-2], x.shape[-1])


def _pair(x):
    return (int(x), int(x)) if isinstance(x, (int, float)) else (int(x[0]), int(x[0] if len(x) == 1 else x[1]))


class _Shown:
    def __repr__(self):
        return "%s(%s)" % (type(self).__name__, ", ".join("%s=%s" % i for i in vars(self).items()))


class Compose:
    def __init__(self, transforms):
        self.transforms = transforms

    def __call__(self, img):
        for t in self.transforms:
            img = t(img)
        return img

    def __repr__(self):
        return "Compose(" + "".join("\n    %s" % t for t in self.transforms) + "\n)"


class ToTensor(_Shown):
    """Image, or array (H, W[, C]), to float tensor (C, H, W) between 0 and 1."""

    def __call__(self, pic):
        if _is_image(pic):
            t = PILToTensor()(pic)
        else:
            t = torch.as_tensor(pic)
            t = (t.unsqueeze(-1) if t.dim() == 2 else t).permute(2, 0, 1).contiguous()
        return t.float() / 255 if t.dtype == torch.uint8 else t


class PILToTensor(_Shown):
    def __call__(self, pic):
        if pic.mode not in ("L", "RGB", "RGBA"):
            pic = pic.convert("RGB")
        width, height = pic.size
        t = torch.frombuffer(bytearray(pic.tobytes()), dtype=torch.uint8)
        return t.reshape(height, width, len(pic.getbands())).permute(2, 0, 1).contiguous()


class ToPILImage(_Shown):
    def __init__(self, mode=None):
        self.mode = mode

    def __call__(self, pic):
        t = torch.as_tensor(pic)
        t = t.unsqueeze(0) if t.dim() == 2 else t
        if t.is_floating_point():
            t = t.mul(255).byte()
        t = t.permute(1, 2, 0).contiguous()
        return _from_bytes(self.mode or ("L" if t.shape[2] == 1 else "RGB"), (t.shape[1], t.shape[0]), bytes(t.reshape(-1).tolist()))


class ConvertImageDtype(_Shown):
    def __init__(self, dtype):
        self.dtype = dtype

    def __call__(self, t):
        if t.dtype == torch.uint8 and self.dtype.is_floating_point:
            return t.to(self.dtype) / 255
        return t.to(self.dtype)


class Normalize(_Shown):
    def __init__(self, mean, std, inplace=False):
        self.mean, self.std, self.inplace = mean, std, inplace

    def __call__(self, tensor):
        if not tensor.is_floating_point():
            raise TypeError("Input tensor should be a float tensor. Got %s." % tensor.dtype)
        if tensor.dim() < 3:
            raise ValueError("Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() = %s" % (tensor.size(),))
        mean, std = (torch.as_tensor(v, dtype=tensor.dtype, device=tensor.device).reshape(-1, 1, 1) for v in (self.mean, self.std))
        if bool((std == 0).any()):
            raise ValueError("std evaluated to zero after conversion to %s, leading to division by zero." % tensor.dtype)
        return tensor.sub_(mean).div_(std) if self.inplace else (tensor - mean) / std


def _crop(x, top, left, height, width):
    if _is_image(x):
        return x.crop((left, top, left + width, top + height))
    h, w = x.shape[-2:]
    if top < 0 or left < 0 or top + height > h or left + width > w:
        x = torch.nn.functional.pad(x, (max(-left, 0), max(left + width - w, 0), max(-top, 0), max(top + height - h, 0)))
        top, left = max(top, 0), max(left, 0)
    return x[..., top : top + height, left : left + width]


def _resize(x, height, width, interpolation):
    if _is_image(x):
        return _resized(x, width, height, interpolation)
    mode = "nearest" if interpolation == 0 else "bilinear"
    return torch.nn.functional.interpolate(x.float().unsqueeze(0), (height, width), mode=mode).squeeze(0).to(x.dtype)


class Resize(_Shown):
    def __init__(self, size, interpolation=InterpolationMode.BILINEAR, max_size=None, antialias=True):
        self.size, self.interpolation = size, interpolation

    def __call__(self, x):
        h, w = _size(x)
        if isinstance(self.size, int) or len(self.size) == 1:
            short = self.size if isinstance(self.size, int) else self.size[0]
            nh, nw = (short, int(short * w / h)) if h <= w else (int(short * h / w), short)
        else:
            nh, nw = self.size
        return x if (nh, nw) == (h, w) else _resize(x, nh, nw, self.interpolation)


Scale = Resize


class CenterCrop(_Shown):
    def __init__(self, size):
        self.size = _pair(size)

    def __call__(self, x):
        (h, w), (th, tw) = _size(x), self.size
        return _crop(x, int(round((h - th) / 2.0)), int(round((w - tw) / 2.0)), th, tw)


class Pad(_Shown):
    def __init__(self, padding, fill=0, padding_mode="constant"):
        if padding_mode != "constant" or fill != 0:
            raise NotImplementedError("torchvision.transforms.Pad: under taper only zeros are padded")
        self.padding = (padding,) * 4 if isinstance(padding, int) else (tuple(padding) * 2 if len(padding) == 2 else tuple(padding))

    def __call__(self, x):
        left, top, right, bottom = self.padding
        h, w = _size(x)
        return _crop(x, -top, -left, h + top + bottom, w + left + right)


class RandomCrop(_Shown):
    def __init__(self, size, padding=None, pad_if_needed=False, fill=0, padding_mode="constant"):
        self.size, self.padding, self.pad_if_needed = _pair(size), padding, pad_if_needed
        self.fill, self.padding_mode = fill, padding_mode

    def __call__(self, x):
        if self.padding is not None:
            x = Pad(self.padding, self.fill, self.padding_mode)(x)
        (h, w), (th, tw) = _size(x), self.size
        if self.pad_if_needed and (h < th or w < tw):
            x = Pad((max(tw - w, 0), max(th - h, 0)))(x)
            h, w = _size(x)
        if h < th or w < tw:
            raise ValueError("Required crop size %s is larger than input image size %s" % ((th, tw), (h, w)))
        if (h, w) == (th, tw):
            return x
        top = torch.randint(0, h - th + 1, size=(1,)).item()
        left = torch.randint(0, w - tw + 1, size=(1,)).item()
        return _crop(x, top, left, th, tw)


class RandomResizedCrop(_Shown):
    def __init__(self, size, scale=(0.08, 1.0), ratio=(3.0 / 4.0, 4.0 / 3.0), interpolation=InterpolationMode.BILINEAR, antialias=True):
        self.size, self.scale, self.ratio, self.interpolation = _pair(size), scale, ratio, interpolation

    def __call__(self, x):
        h, w = _size(x)
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        for _ in range(10):
            area = h * w * torch.empty(1).uniform_(self.scale[0], self.scale[1]).item()
            aspect = math.exp(torch.empty(1).uniform_(low, high).item())
            cw, ch = int(round(math.sqrt(area * aspect))), int(round(math.sqrt(area / aspect)))
            if 0 < cw <= w and 0 < ch <= h:
                top = torch.randint(0, h - ch + 1, size=(1,)).item()
                left = torch.randint(0, w - cw + 1, size=(1,)).item()
                break
        else:
            ch = cw = min(h, w)
            top, left = (h - ch) // 2, (w - cw) // 2
        return _resize(_crop(x, top, left, ch, cw), *self.size, self.interpolation)


class RandomHorizontalFlip(_Shown):
    def __init__(self, p=0.5):
        self.p = p

    def __call__(self, x):
        if torch.rand(1) < self.p:
            return _flip(x) if _is_image(x) else x.flip(-1)
        return x


class Grayscale(_Shown):
    def __init__(self, num_output_channels=1):
        self.num_output_channels = num_output_channels

    def __call__(self, x):
        if _is_image(x):
            x = x.convert("L")
            return x if self.num_output_channels == 1 else x.convert("RGB")
        grey = (0.2989 * x[..., 0, :, :] + 0.587 * x[..., 1, :, :] + 0.114 * x[..., 2, :, :]).to(x.dtype).unsqueeze(-3)
        return grey if self.num_output_channels == 1 else grey.expand(*x.shape)


class Lambda(_Shown):
    def __init__(self, lambd):
        self.lambd = lambd

    def __call__(self, x):
        return self.lambd(x)


class RandomApply(_Shown):
    def __init__(self, transforms, p=0.5):
        self.transforms, self.p = transforms, p

    def __call__(self, x):
        if self.p < torch.rand(1):
            return x
        for t in self.transforms:
            x = t(x)
        return x


class RandomChoice(_Shown):
    def __init__(self, transforms, p=None):
        self.transforms, self.p = transforms, p

    def __call__(self, x):
        return random.choices(self.transforms, weights=self.p)[0](x)
