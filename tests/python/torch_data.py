"""Data sets of test_dataloader, in a module that spawned workers can import."""
import os
import random
import signal
import time

from which import torch

Dataset, IterableDataset = torch.utils.data.Dataset, torch.utils.data.IterableDataset


class Own(Exception):
    pass


class PairDataset(Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return i, torch.full((3, 100, 100), float(i))


class DictDataset(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, i):
        return {"name": "n%d" % i, "big": torch.full((50000,), float(i)), "empty": torch.zeros(0)}


class SeedDataset(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, i):
        import numpy

        return torch.tensor([torch.rand(1).item(), random.random(), numpy.random.rand()], dtype=torch.float64)


class Counting(Dataset):
    offset = 0

    def __len__(self):
        return 4

    def __getitem__(self, i):
        info = torch.utils.data.get_worker_info()
        return torch.tensor([info.id, info.num_workers, info.dataset.offset])


def init_worker(worker_id):
    torch.utils.data.get_worker_info().dataset.offset = 100 + worker_id


def keep_list(batch):
    return batch


class NumberStream(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        info = torch.utils.data.get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        return iter(range(first, self.n, step))


class BoomDataset(Dataset):
    def __init__(self, kind):
        self.kind = {"ValueError": ValueError, "KeyError": KeyError, "Own": Own}[kind]

    def __len__(self):
        return 8

    def __getitem__(self, i):
        if i == 3:
            raise self.kind("boom at 3")
        return i


class KilledDataset(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, i):
        if i == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return i


class SlowDataset(Dataset):
    def __init__(self, seconds):
        self.seconds = seconds

    def __len__(self):
        return 2

    def __getitem__(self, i):
        time.sleep(self.seconds)
        return i
