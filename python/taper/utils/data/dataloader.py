"""DataLoader: batches of a data set, made here or by worker processes."""
import os

from ... import _C
from ._utils import collate as _collate
from ._utils.fetch import DatasetKind
from ._utils.worker import get_worker_info
from .dataset import IterableDataset
from .sampler import BatchSampler, RandomSampler, SequentialSampler

__all__ = ["DataLoader", "get_worker_info", "default_collate", "default_convert"]

default_collate = _collate.default_collate
default_convert = _collate.default_convert
_DatasetKind = DatasetKind


class _InfiniteConstantSampler:
    def __iter__(self):
        while True:
            yield None


def _warn(message):
    import warnings

    warnings.warn(message, stacklevel=4)


class DataLoader:
    __initialized = False
    _iterator = None
    __multiprocessing_context = None

    def __init__(self, dataset, batch_size=1, shuffle=None, sampler=None, batch_sampler=None, num_workers=0, collate_fn=None,
                 pin_memory=False, drop_last=False, timeout=0, worker_init_fn=None, multiprocessing_context=None, generator=None, *,
                 prefetch_factor=None, persistent_workers=False, pin_memory_device="", in_order=True):
        if num_workers < 0:
            raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if num_workers == 0 and prefetch_factor is not None:
            raise ValueError("prefetch_factor option could only be specified in multiprocessing.let num_workers > 0 to enable multiprocessing, "
                             "otherwise set prefetch_factor to None.")
        if num_workers > 0 and prefetch_factor is None:
            prefetch_factor = 2
        elif prefetch_factor is not None and prefetch_factor < 0:
            raise ValueError("prefetch_factor option should be non-negative")
        if persistent_workers and num_workers == 0:
            raise ValueError("persistent_workers option needs num_workers > 0")
        self.dataset, self.num_workers, self.prefetch_factor = dataset, num_workers, prefetch_factor
        self.pin_memory, self.pin_memory_device, self.timeout = pin_memory, pin_memory_device, timeout
        self.worker_init_fn, self.in_order = worker_init_fn, in_order
        self.multiprocessing_context = multiprocessing_context
        if isinstance(dataset, IterableDataset):
            self._dataset_kind = DatasetKind.Iterable
            if shuffle not in {False, None}:
                raise ValueError("DataLoader with IterableDataset: expected unspecified shuffle option, but got shuffle=%s" % (shuffle,))
            if sampler is not None:
                raise ValueError("DataLoader with IterableDataset: expected unspecified sampler option, but got sampler=%s" % (sampler,))
            if batch_sampler is not None:
                raise ValueError("DataLoader with IterableDataset: expected unspecified batch_sampler option, but got batch_sampler=%s"
                                 % (batch_sampler,))
        else:
            shuffle = bool(shuffle)
            self._dataset_kind = DatasetKind.Map
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError("batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last")
            batch_size, drop_last = None, False
        elif batch_size is None:
            if drop_last:
                raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        if sampler is None:
            if self._dataset_kind == DatasetKind.Iterable:
                sampler = _InfiniteConstantSampler()
            elif shuffle:
                sampler = RandomSampler(dataset, generator=generator)
            else:
                sampler = SequentialSampler(dataset)
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size, self.drop_last, self.sampler, self.batch_sampler = batch_size, drop_last, sampler, batch_sampler
        self.generator = generator
        if collate_fn is None:
            collate_fn = default_collate if self._auto_collation else default_convert
        self.collate_fn, self.persistent_workers = collate_fn, persistent_workers
        self.__initialized = True
        self._IterableDataset_len_called = None
        self._iterator = None
        self.check_worker_number_rationality()

    def __class_getitem__(cls, item):
        return cls

    @property
    def multiprocessing_context(self):
        return self.__multiprocessing_context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context):
        if context is not None:
            if self.num_workers <= 0:
                raise ValueError("multiprocessing_context can only be used with multi-process loading (num_workers > 0), but got num_workers=%d"
                                 % self.num_workers)
            import multiprocessing

            if isinstance(context, str):
                valid = multiprocessing.get_all_start_methods()
                if context not in valid:
                    raise ValueError("multiprocessing_context option should specify a valid start method in %r, but got "
                                     "multiprocessing_context=%r" % (valid, context))
                context = multiprocessing.get_context(context)
            if not isinstance(context, multiprocessing.context.BaseContext):
                raise TypeError("multiprocessing_context option should be a valid context object or a string specifying the start method, but "
                                "got multiprocessing_context=%s" % (context,))
        self.__multiprocessing_context = context

    def __setattr__(self, attr, value):
        if self.__initialized and attr in ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"):
            raise ValueError("%s attribute should not be set after %s is initialized" % (attr, type(self).__name__))
        super().__setattr__(attr, value)

    def __iter__(self):
        if self.persistent_workers and self.num_workers > 0:
            if self._iterator is None:
                self._iterator = self._get_iterator()
            else:
                self._iterator._reset(self)
            return self._iterator
        return self._get_iterator()

    def _get_iterator(self):
        if self.num_workers == 0:
            return _SingleProcessDataLoaderIter(self)
        self.check_worker_number_rationality()
        return _MultiProcessingDataLoaderIter(self)

    @property
    def _auto_collation(self):
        return self.batch_sampler is not None

    @property
    def _index_sampler(self):
        return self.batch_sampler if self._auto_collation else self.sampler

    def __len__(self):
        if self._dataset_kind == DatasetKind.Iterable:
            length = self._IterableDataset_len_called = len(self.dataset)
            if self.batch_size is not None:
                length = length // self.batch_size if self.drop_last else -(-length // self.batch_size)
            return length
        return len(self._index_sampler)

    def check_worker_number_rationality(self):
        if not self.num_workers:
            return
        try:
            limit = len(os.sched_getaffinity(0))
        except Exception:
            limit = os.cpu_count()
        if limit is not None and self.num_workers > limit:
            _warn("This DataLoader will create %d worker processes in total. Our suggested max number of worker in current system is %d, which "
                  "is smaller than what this DataLoader is going to create. Please be aware that excessive worker creation might get "
                  "DataLoader running slow or even freeze, lower the worker number to avoid potential slowness/freeze if necessary."
                  % (self.num_workers, limit))


class _BaseDataLoaderIter:
    def __init__(self, loader):
        self._loader, self._dataset, self._dataset_kind = loader, loader.dataset, loader._dataset_kind
        self._IterableDataset_len_called = loader._IterableDataset_len_called
        self._num_workers, self._drop_last, self._auto_collation = loader.num_workers, loader.drop_last, loader._auto_collation
        self._pin_memory = False
        if loader.pin_memory:
            self._pin_memory = _C.cuda_device_count() > 0
            if not self._pin_memory:
                _warn("'pin_memory' argument is set as true but no accelerator is found, then device pinned memory won't be used.")
        self._sampler_iter = iter(loader._index_sampler)
        self._base_seed = _C.ops.empty((), dtype=_C.int64).random_(generator=loader.generator).item()
        self._num_yielded = 0

    def __iter__(self):
        return self

    def _reset(self, loader):
        self._sampler_iter = iter(loader._index_sampler)
        self._num_yielded = 0
        self._IterableDataset_len_called = loader._IterableDataset_len_called

    def _next_index(self):
        return next(self._sampler_iter)

    def _next_data(self):
        raise NotImplementedError

    def __next__(self):
        data = self._next_data()
        if self._pin_memory:
            from ._utils.pin_memory import pin_memory

            data = pin_memory(data)
        self._num_yielded += 1
        told = self._IterableDataset_len_called
        if self._dataset_kind == DatasetKind.Iterable and told is not None:
            samples = self._num_yielded if self._loader.batch_size is None else self._num_yielded * self._loader.batch_size
            expected = -(-told // (self._loader.batch_size or 1))
            if self._num_yielded > expected:
                _warn("Length of IterableDataset %s was reported to be %d(when accessing len(dataloader)), but %d samples have been fetched. "
                      % (self._dataset, told, samples))
        return data

    next = __next__

    def __len__(self):
        return len(self._loader._index_sampler)

    def __getstate__(self):
        raise NotImplementedError("{} cannot be pickled", type(self).__name__)


class _SingleProcessDataLoaderIter(_BaseDataLoaderIter):
    def __init__(self, loader):
        super().__init__(loader)
        assert loader.timeout == 0
        self._dataset_fetcher = DatasetKind.create_fetcher(self._dataset_kind, self._dataset, self._auto_collation, loader.collate_fn,
                                                           self._drop_last)

    def _next_data(self):
        return self._dataset_fetcher.fetch(self._next_index())


class _MultiProcessingDataLoaderIter(_BaseDataLoaderIter):
    def __init__(self, loader):
        super().__init__(loader)
        from ._utils.processes import Workers

        self._group = Workers(loader, self)

    @property
    def _workers(self):
        return self._group.processes

    def _reset(self, loader):
        # Answers of an epoch that was left early are dropped by restart().
        super()._reset(loader)
        self._group.restart(self._sampler_iter)

    def _next_data(self):
        return self._group.next()

    def _shutdown_workers(self):
        self._group.close()

    def __del__(self):
        group = self.__dict__.get("_group")
        if group is not None:
            group.close()
