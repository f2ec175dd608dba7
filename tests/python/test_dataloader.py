"""DataLoader: collation, order, seeds, worker processes and their failures."""
import importlib.util
import os
import random
import signal
import time
import unittest
import warnings
from collections import namedtuple

from which import REAL, main, torch
from torch_data import (BoomDataset, Counting, DictDataset, KilledDataset, NumberStream, PairDataset, SeedDataset, SlowDataset, init_worker,
                        keep_list)

DataLoader = torch.utils.data.DataLoader
Point = namedtuple("Point", "x y")


def quiet(*args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return DataLoader(*args, **kwargs)


class Collate(unittest.TestCase):
    def test_nested(self):
        c = torch.utils.data.default_collate
        batch = c([{"a": 1, "b": [1.5, "x"], "t": torch.ones(2)}, {"a": 2, "b": [2.5, "y"], "t": torch.zeros(2)}])
        self.assertEqual(batch["a"].dtype, torch.int64)
        self.assertEqual(batch["b"][0].dtype, torch.float64)
        self.assertEqual(list(batch["b"][1]), ["x", "y"])
        self.assertEqual(tuple(batch["t"].shape), (2, 2))
        p = c([Point(1, 2.0), Point(3, 4.0)])
        self.assertIsInstance(p, Point)
        self.assertEqual(p.x.tolist(), [1, 3])
        self.assertIsInstance(c([(1, 2), (3, 4)]), list)

    def test_refuses(self):
        with self.assertRaisesRegex(TypeError, "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found"):
            torch.utils.data.default_collate([object()])
        with self.assertRaisesRegex(RuntimeError, "each element in list of batch should be of equal size"):
            torch.utils.data.default_collate([[1, 2], [3]])

    def test_numpy(self):
        try:
            import numpy as np
        except ImportError:
            self.skipTest("no numpy")
        b = torch.utils.data.default_collate([np.ones(3, np.float32), np.zeros(3, np.float32)])
        self.assertEqual((b.dtype, tuple(b.shape)), (torch.float32, (2, 3)))
        self.assertEqual(torch.utils.data.default_collate([np.float64(1), np.float64(2)]).dtype, torch.float64)


class Order(unittest.TestCase):
    def test_batches(self):
        d = PairDataset(10)
        batches = [b[0].tolist() for b in DataLoader(d, batch_size=4)]
        self.assertEqual(batches, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]])
        self.assertEqual(len(DataLoader(d, 4)), 3)
        self.assertEqual(len(DataLoader(d, 4, drop_last=True)), 2)

    def test_shuffle_follows_the_seed(self):
        """The numbers of PyTorch 2.6 for this seed."""
        torch.manual_seed(7)
        first = [int(b) for x, _ in DataLoader(PairDataset(10), 5, shuffle=True) for b in x]
        second = [int(b) for x, _ in DataLoader(PairDataset(10), 5, shuffle=True) for b in x]
        self.assertEqual(first, SHUFFLED[0])
        self.assertEqual(second, SHUFFLED[1])
        g = torch.Generator()
        g.manual_seed(3)
        self.assertEqual([int(b) for x, _ in DataLoader(PairDataset(6), 6, shuffle=True, generator=g) for b in x], SHUFFLED[2])
        self.assertEqual(float(torch.rand(1)), SHUFFLED[3])

    def test_workers_give_the_same_batches(self):
        for kwargs in ({}, {"prefetch_factor": 5}, {"persistent_workers": True}, {"multiprocessing_context": "fork"}):
            loader = quiet(PairDataset(23), 4, num_workers=3, **kwargs)
            for _ in range(2):
                batches = [(x.tolist(), y.shape) for x, y in loader]
                self.assertEqual(sum((b[0] for b in batches), []), list(range(23)))
                self.assertEqual(batches[0][1], torch.Size([4, 3, 100, 100]))

    def test_left_early(self):
        loader = quiet(PairDataset(40), 4, num_workers=2, persistent_workers=True)
        for _ in range(3):
            for i, (x, _) in enumerate(loader):
                self.assertEqual(x.tolist(), list(range(4 * i, 4 * i + 4)))
                if i == 2:
                    break

    def test_spawned(self):
        loader = quiet(PairDataset(6), 2, num_workers=1, multiprocessing_context="spawn")
        self.assertEqual(sum((x.tolist() for x, _ in loader), []), list(range(6)))

    def test_random_split(self):
        g = torch.Generator()
        g.manual_seed(0)
        a, b = torch.utils.data.random_split(range(10), [0.7, 0.3], generator=g)
        self.assertEqual((a.indices, b.indices), SPLIT)
        with self.assertRaisesRegex(ValueError, "Sum of input lengths does not equal"):
            torch.utils.data.random_split(range(10), [3, 3])

    def test_samplers(self):
        torch.manual_seed(1)
        d = torch.utils.data
        self.assertEqual(list(d.RandomSampler(range(5), replacement=True, num_samples=7)), SAMPLES[0])
        self.assertEqual(list(d.WeightedRandomSampler([0.1, 0.9, 0.5], 6)), SAMPLES[1])
        self.assertEqual([int(i) for i in d.SubsetRandomSampler([5, 6, 7])], SAMPLES[2])
        self.assertEqual(list(d.DistributedSampler(range(7), 2, 1, seed=3)), SAMPLES[3])

    def test_contents(self):
        for workers in (0, 2):
            b = next(iter(quiet(DictDataset(), 2, num_workers=workers)))
            self.assertEqual(b["name"], ["n0", "n1"])
            self.assertEqual(b["big"].shape, (2, 50000))
            self.assertTrue(torch.equal(b["big"][1], torch.full((50000,), 1.0)))
            b["big"][0, 0] = 5  # a batch is the caller's to change
            self.assertEqual(b["empty"].shape, (2, 0))
        rows = next(iter(quiet(DictDataset(), 3, num_workers=1, collate_fn=keep_list)))
        self.assertEqual([type(r).__name__ for r in rows], ["dict"] * 3)


class Workers(unittest.TestCase):
    @unittest.skipUnless(importlib.util.find_spec("numpy"), "the workers seed numpy too")
    def test_seeds(self):
        torch.manual_seed(11)
        got = [v for b in quiet(SeedDataset(), 1, num_workers=2) for v in b.tolist()]
        self.assertEqual([[round(x, 6) for x in row] for row in got], SEEDS)

    def test_info(self):
        self.assertIsNone(torch.utils.data.get_worker_info())
        got = [b.tolist() for b in quiet(Counting(), None, num_workers=2, worker_init_fn=init_worker)]
        self.assertEqual(got, [[0, 2, 100], [1, 2, 101], [0, 2, 100], [1, 2, 101]])

    def test_stream(self):
        self.assertEqual([b.tolist() for b in DataLoader(NumberStream(10), 4)], [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]])
        got = sorted(sum((b.tolist() for b in quiet(NumberStream(10), 2, num_workers=3)), []))
        self.assertEqual(got, list(range(10)))

    def test_error_is_told(self):
        for exception in ("ValueError", "KeyError", "Own"):
            with self.assertRaises(Exception) as caught:
                list(quiet(BoomDataset(exception), 2, num_workers=2))
            self.assertEqual(type(caught.exception).__name__, exception)
            text = str(caught.exception)
            self.assertIn("Caught %s in DataLoader worker process " % exception, text)
            self.assertIn("Original Traceback (most recent call last):", text)
            self.assertIn("boom at 3", text)

    def test_killed(self):
        with self.assertRaisesRegex(RuntimeError, r"DataLoader worker \(pid(\(s\))? \d+\) (exited unexpectedly|is killed by signal)"):
            list(quiet(KilledDataset(), 2, num_workers=2))

    def test_timeout(self):
        with self.assertRaisesRegex(RuntimeError, "DataLoader timed out after 1 seconds"):
            list(quiet(SlowDataset(3), 2, num_workers=1, timeout=1))

    def test_ends(self):
        """No process is left behind."""
        loader = quiet(PairDataset(100), 4, num_workers=2)
        it = iter(loader)
        next(it)
        pids = [w.pid for w in it._workers]
        del it
        for _ in range(100):
            if not any(os.path.exists("/proc/%d" % p) and open("/proc/%d/stat" % p).read().split()[2] != "Z" for p in pids):
                break
            time.sleep(0.05)
        else:
            self.fail("workers %s still run" % pids)

    @unittest.skipIf(REAL, "PyTorch needs /dev/shm")
    def test_no_shared_memory_files(self):
        before = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
        it = iter(quiet(PairDataset(40), 8, num_workers=2))
        next(it)
        after = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
        self.assertEqual(after - before, set())

    def test_arguments(self):
        d = PairDataset(4)
        for kwargs, text in (({"num_workers": -1}, "non-negative"), ({"prefetch_factor": 2}, "prefetch_factor"),
                             ({"persistent_workers": True}, "persistent_workers option needs"),
                             ({"shuffle": True, "sampler": [0]}, "mutually exclusive"), ({"batch_size": None, "drop_last": True}, "auto-batching"),
                             ({"multiprocessing_context": "fork"}, "multiprocessing_context can only")):
            with self.assertRaisesRegex(ValueError, text):
                DataLoader(d, **kwargs)
        loader = DataLoader(d)
        with self.assertRaisesRegex(ValueError, "batch_size attribute should not be set"):
            loader.batch_size = 3
        with self.assertWarnsRegex(UserWarning, "This DataLoader will create 1000 worker processes"):
            DataLoader(d, num_workers=1000)


SHUFFLED = None
exec(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "dataloader_numbers.py")).read())

if __name__ == "__main__":
    main()
