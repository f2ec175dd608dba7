"""torch.utils.data."""
from .dataset import ChainDataset, ConcatDataset, Dataset, IterableDataset, StackDataset, Subset, TensorDataset, random_split
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler
from .dataloader import DataLoader, default_collate, default_convert, get_worker_info
from .distributed import DistributedSampler
from ._utils.fetch import DatasetKind as _DatasetKind


def __getattr__(name):
    if name in ("IterDataPipe", "MapDataPipe", "DataChunk", "functional_datapipe", "datapipes"):
        raise AttributeError("torch.utils.data.%s: taper has no data pipes; use Dataset or IterableDataset" % name)
    if name in ("backward_compatibility",):
        from importlib import import_module

        return import_module("." + name, __package__)
    raise AttributeError("module 'torch.utils.data' has no attribute '%s'" % name)
