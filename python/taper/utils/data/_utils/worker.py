"""The worker process: takes tasks from its channel, sends batches back."""
import sys

from .... import _C
from .channel import close_inherited
from .fetch import DatasetKind

_worker_info = None


class WorkerInfo:
    """What a worker knows about itself: id, num_workers, seed, dataset."""

    __initialized = False

    def __init__(self, **kwargs):
        self.__keys = tuple(kwargs)
        for k, v in kwargs.items():
            setattr(self, k, v)
        self.__initialized = True

    def __setattr__(self, key, value):
        if self.__initialized:
            raise RuntimeError("Cannot assign attributes to %s objects" % type(self).__name__)
        super().__setattr__(key, value)

    def __repr__(self):
        return "%s(%s)" % (type(self).__name__, ", ".join("%s=%s" % (k, getattr(self, k)) for k in self.__keys))


def get_worker_info():
    """None in the main process."""
    return _worker_info


class WorkerError:
    """An exception of a worker on its way to the main process: its class, and its traceback as text."""

    def __init__(self, where):
        import traceback

        kind, error, trace = sys.exc_info()
        self.kind, self.where = kind, where
        self.text = "".join(traceback.format_exception(kind, error, trace))

    def __reduce__(self):
        import pickle

        try:
            pickle.dumps(self.kind)
            kind = self.kind
        except Exception:
            kind = RuntimeError
        return _error_from, (kind, self.where, self.text)

    def reraise(self):
        text = "Caught %s %s.\nOriginal %s" % (self.kind.__name__, self.where, self.text)
        if self.kind is KeyError:
            text = _Message(text)  # KeyError prints repr: keep the lines apart
        elif getattr(self.kind, "message", None):
            raise self.kind(message=text)
        try:
            error = self.kind(text)
        except Exception:
            raise RuntimeError(text) from None
        raise error


class _Message(str):
    def __repr__(self):
        return str(self)


def _error_from(kind, where, text):
    error = WorkerError.__new__(WorkerError)
    error.kind, error.where, error.text = kind, where, text
    return error


class End:
    """An IterableDataset of this worker has ended."""


class Resume:
    """Begin another epoch (persistent workers)."""

    def __init__(self, seed=None):
        self.seed = seed


def numpy_seed(base_seed, worker_id):
    """The seed of numpy's global generator in a worker, as torch chooses it: numpy's SeedSequence of these four words."""
    import numpy

    words = [worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    return numpy.random.SeedSequence(words).generate_state(4)


def worker_loop(kind, dataset, channel, auto_collation, collate_fn, drop_last, base_seed, init_fn, worker_id, num_workers):
    global _worker_info
    import random

    close_inherited(channel)
    try:
        _C.set_num_threads(1)
        seed = base_seed + worker_id
        random.seed(seed)
        _C.default_generator.manual_seed(seed)
        if "numpy" in sys.modules:
            import numpy

            numpy.random.seed(numpy_seed(base_seed, worker_id))
        _worker_info = WorkerInfo(id=worker_id, num_workers=num_workers, seed=seed, dataset=dataset)
        failed, fetcher = None, None
        try:
            if init_fn is not None:
                init_fn(worker_id)
            fetcher = DatasetKind.create_fetcher(kind, dataset, auto_collation, collate_fn, drop_last)
        except Exception:
            failed = WorkerError("in DataLoader worker process %d" % worker_id)
        while True:
            task = channel.receive()
            if isinstance(task, Resume):
                channel.send((None, task))
                fetcher = failed = None
                try:
                    fetcher = DatasetKind.create_fetcher(kind, dataset, auto_collation, collate_fn, drop_last)
                except Exception:
                    failed = WorkerError("in DataLoader worker process %d" % worker_id)
                continue
            idx, index = task
            if failed is not None:
                answer, failed = failed, None
            elif fetcher is None:
                answer = End()
            else:
                try:
                    answer = fetcher.fetch(index)
                except StopIteration:
                    if kind != DatasetKind.Iterable:
                        answer = WorkerError("in DataLoader worker process %d" % worker_id)
                    else:
                        answer, fetcher = End(), None
                except Exception:
                    answer = WorkerError("in DataLoader worker process %d" % worker_id)
            try:
                channel.send((idx, answer))
            except (BrokenPipeError, ConnectionError):
                break
            except Exception:  # the batch cannot be pickled
                channel.waiting.clear()
                channel.send((idx, WorkerError("in DataLoader worker process %d" % worker_id)))
            del answer, task
    except (KeyboardInterrupt, EOFError, BrokenPipeError, ConnectionError):
        pass  # the main process has ended or will speak for itself
    finally:
        channel.close()
