"""Data sets of the tutorials, read from the files they come in."""
import gzip
import os
import pickle
import struct
import tarfile

import torch

from .image import from_bytes as _from_bytes

__all__ = ["VisionDataset", "MNIST", "FashionMNIST", "KMNIST", "CIFAR10", "CIFAR100", "FakeData", "ImageFolder"]


class VisionDataset(torch.utils.data.Dataset):
    def __init__(self, root=None, transforms=None, transform=None, target_transform=None):
        self.root = os.path.expanduser(root) if isinstance(root, (str, bytes)) else root
        self.transform, self.target_transform = transform, target_transform

    def _given(self, img, target):
        if self.transform is not None:
            img = self.transform(img)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return img, target

    def __repr__(self):
        return "Dataset %s\n    Number of datapoints: %d\n    Root location: %s" % (type(self).__name__, len(self), self.root)


def _idx(path):
    """The idx format: two zero bytes, the type (8: bytes), the number of dimensions, big-endian sizes, data."""
    with (gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb")) as f:
        data = f.read()
    if len(data) < 4 or data[2] != 8:
        raise ValueError("%s: not an idx file of bytes" % path)
    n = data[3]
    sizes = struct.unpack(">%dI" % n, data[4 : 4 + 4 * n])
    total = 1
    for s in sizes:
        total *= s
    if len(data) - 4 - 4 * n != total:
        raise ValueError("%s: %d bytes of data, %d expected" % (path, len(data) - 4 - 4 * n, total))
    return torch.frombuffer(bytearray(data[4 + 4 * n :]), dtype=torch.uint8).reshape(sizes)


class MNIST(VisionDataset):
    mirrors = ["https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"]
    files = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]
    classes = ["0 - zero", "1 - one", "2 - two", "3 - three", "4 - four", "5 - five", "6 - six", "7 - seven", "8 - eight", "9 - nine"]

    def __init__(self, root, train=True, transform=None, target_transform=None, download=False):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        if not self._check_exists():
            raise RuntimeError("Dataset not found. You can use download=True to download it")
        images, labels = self.files[:2] if train else self.files[2:]
        self.data, self.targets = _idx(self._find(images)), _idx(self._find(labels)).long()

    @property
    def raw_folder(self):
        return os.path.join(self.root, type(self).__name__, "raw")

    @property
    def class_to_idx(self):
        return {c: i for i, c in enumerate(self.classes)}

    def _find(self, name):
        for path in (os.path.join(self.raw_folder, name), os.path.join(self.raw_folder, name + ".gz")):
            if os.path.exists(path):
                return path
        return None

    def _check_exists(self):
        return all(self._find(f) for f in self.files)

    def download(self):
        if self._check_exists():
            return
        os.makedirs(self.raw_folder, exist_ok=True)
        for name in self.files:
            errors = []
            for mirror in self.mirrors:
                url = mirror + name + ".gz"
                try:
                    print("Downloading " + url)
                    torch.hub.download_url_to_file(url, os.path.join(self.raw_folder, name + ".gz"))
                    break
                except OSError as error:
                    errors.append("%s: %s" % (url, error))
            else:
                raise RuntimeError("Error downloading %s:\n%s" % (name, "\n".join(errors)))

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        pixels = self.data[index]
        height, width = pixels.shape
        img = _from_bytes("L", (width, height), bytes(pixels.reshape(-1).tolist()))
        return self._given(img, int(self.targets[index]))


class FashionMNIST(MNIST):
    mirrors = ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"]
    classes = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]


class KMNIST(MNIST):
    mirrors = ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
    classes = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]


class _Plain(pickle.Unpickler):
    """CIFAR's batches: dictionaries of lists, bytes and one uint8 array; no other names."""

    def find_class(self, module, name):
        if name in ("_reconstruct", "ndarray", "dtype") and module.split(".")[0] == "numpy":
            return super().find_class(module, name)
        raise pickle.UnpicklingError("CIFAR: unexpected name %s.%s" % (module, name))


class CIFAR10(VisionDataset):
    base_folder, filename, meta_key = "cifar-10-batches-py", "cifar-10-python.tar.gz", "label_names"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    train_list, test_list, meta = ["data_batch_%d" % i for i in range(1, 6)], ["test_batch"], "batches.meta"

    def __init__(self, root, train=True, transform=None, target_transform=None, download=False):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        folder = os.path.join(self.root, self.base_folder)
        if download and not os.path.isdir(folder):
            os.makedirs(self.root, exist_ok=True)
            path = os.path.join(self.root, self.filename)
            torch.hub.download_url_to_file(self.url, path)
            with tarfile.open(path) as tar:
                tar.extractall(self.root, [m for m in tar.getmembers() if m.isreg() and not m.name.startswith(("/", ".."))])
        if not os.path.isdir(folder):
            raise RuntimeError("Dataset not found or corrupted. You can use download=True to download it")
        parts, self.targets = [], []
        for name in self.train_list if train else self.test_list:
            with open(os.path.join(folder, name), "rb") as f:
                entry = _Plain(f, encoding="latin1").load()
            parts.append(torch.as_tensor(entry["data"]).reshape(-1, 3, 32, 32))
            self.targets.extend(entry["labels"] if "labels" in entry else entry["fine_labels"])
        self.data = torch.cat(parts).permute(0, 2, 3, 1).contiguous()
        with open(os.path.join(folder, self.meta), "rb") as f:
            self.classes = _Plain(f, encoding="latin1").load()[self.meta_key]
        self.class_to_idx = {c: i for i, c in enumerate(self.classes)}

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        img = _from_bytes("RGB", (32, 32), bytes(self.data[index].reshape(-1).tolist()))
        return self._given(img, self.targets[index])


class CIFAR100(CIFAR10):
    base_folder, filename, meta_key = "cifar-100-python", "cifar-100-python.tar.gz", "fine_label_names"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    train_list, test_list, meta = ["train"], ["test"], "meta"


class FakeData(VisionDataset):
    def __init__(self, size=1000, image_size=(3, 224, 224), num_classes=10, transform=None, target_transform=None, random_offset=0):
        super().__init__(None, transform=transform, target_transform=target_transform)
        self.size, self.image_size, self.num_classes, self.random_offset = size, image_size, num_classes, random_offset

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        if index >= len(self):
            raise IndexError("FakeData index out of range")
        state = torch.get_rng_state()
        torch.manual_seed(index + self.random_offset)
        img = torch.randn(*self.image_size)
        target = torch.randint(0, self.num_classes, size=(1,), dtype=torch.long)[0]
        torch.set_rng_state(state)
        from .transforms import ToPILImage

        return self._given(ToPILImage()(img), target.item())


class ImageFolder(VisionDataset):
    """root/class/name.png: needs Pillow to read the images."""

    extensions = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")

    def __init__(self, root, transform=None, target_transform=None, loader=None, is_valid_file=None, allow_empty=False):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.loader = loader or self._load
        self.classes = sorted(e.name for e in os.scandir(self.root) if e.is_dir())
        if not self.classes:
            raise FileNotFoundError("Couldn't find any class folder in %s." % self.root)
        self.class_to_idx = {c: i for i, c in enumerate(self.classes)}
        wanted = is_valid_file or (lambda p: p.lower().endswith(self.extensions))
        self.samples = [(os.path.join(folder, n), self.class_to_idx[c]) for c in self.classes
                        for folder, _, names in sorted(os.walk(os.path.join(self.root, c))) for n in sorted(names)
                        if wanted(os.path.join(folder, n))]
        self.imgs, self.targets = self.samples, [t for _, t in self.samples]

    @staticmethod
    def _load(path):
        from PIL import Image

        with open(path, "rb") as f:
            return Image.open(f).convert("RGB")

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        path, target = self.samples[index]
        return self._given(self.loader(path), target)
