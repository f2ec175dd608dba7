"""The loader's side of worker processes: tasks out, batches in, in order."""
import itertools
import os
import select
import time
from collections import deque

from .channel import Channel
from .fetch import DatasetKind
from .worker import End, Resume, WorkerError, worker_loop


class Workers:
    """Iterator over batches made by num_workers processes."""

    def __init__(self, loader, iteration):
        import multiprocessing

        self.loader, self.indices, self.owner = loader, iteration._sampler_iter, os.getpid()
        self.count, self.prefetch = loader.num_workers, loader.prefetch_factor
        self.in_order, self.timeout = loader.in_order, loader.timeout
        self.processes, self.channels = [], []
        self.closed = False
        context = loader.multiprocessing_context
        if context is None:
            methods = multiprocessing.get_all_start_methods()
            chosen = multiprocessing.get_start_method(allow_none=True)
            context = multiprocessing.get_context(chosen or ("fork" if "fork" in methods else None))
        for i in range(self.count):
            mine, theirs = Channel.pair()
            process = context.Process(
                target=worker_loop,
                args=(loader._dataset_kind, loader.dataset, theirs, loader._auto_collation, loader.collate_fn, loader.drop_last,
                      iteration._base_seed, loader.worker_init_fn, i, self.count))
            process.daemon = True
            try:
                process.start()
            except BaseException:
                mine.close()
                theirs.close()
                self.close()
                raise
            theirs.close()
            self.processes.append(process)
            self.channels.append(mine)
        self.begin()

    def begin(self):
        self.sent = self.received = 0
        self.ready = deque()  # batches that need no order
        self.tasks = {}  # index of a task -> (worker,) or (worker, batch)
        self.outstanding = 0
        self.active = [True] * self.count
        self.cycle = itertools.cycle(range(self.count))
        self.exhausted = False
        self.resumed = 0
        for _ in range(self.prefetch * self.count):
            self.put_task()

    def restart(self, indices):
        """Another epoch with the same processes: all answers of the old one are waited for first."""
        for c in self.channels:
            c.put(Resume())
        self.resumed = 0
        while self.resumed < self.count:
            self.wait()
        self.indices = indices
        self.begin()

    def put_task(self):
        if self.exhausted:
            return
        try:
            index = next(self.indices)
        except StopIteration:
            self.exhausted = True
            return
        for _ in range(self.count):
            worker = next(self.cycle)
            if self.active[worker]:
                break
        else:
            return
        channel = self.channels[worker]
        channel.put((self.sent, index))
        try:
            channel.flush()
        except (BrokenPipeError, ConnectionError):
            pass  # its end is seen when reading
        self.tasks[self.sent] = (worker,)
        self.outstanding += 1
        self.sent += 1

    def wait(self, timeout=None):
        """Reads until at least one answer has come; gives the answers as (worker, task, answer)."""
        poll = select.poll()
        for i, c in enumerate(self.channels):
            if not c.ended:
                poll.register(c.fileno(), select.POLLIN | (select.POLLOUT if c.waiting else 0))
        by_fd = {c.fileno(): i for i, c in enumerate(self.channels) if not c.ended}
        deadline = None if not timeout else time.monotonic() + timeout
        answers = []
        while not answers:
            left = None
            if deadline is not None:
                left = max(0, int((deadline - time.monotonic()) * 1000))
            ready = poll.poll(left)
            if not ready and deadline is not None and time.monotonic() >= deadline:
                raise RuntimeError("DataLoader timed out after %s seconds" % timeout)
            resumed = self.resumed
            for fd, events in ready:
                worker = by_fd[fd]
                c = self.channels[worker]
                if events & select.POLLOUT:
                    try:
                        if c.flush():
                            poll.modify(fd, select.POLLIN)
                    except (BrokenPipeError, ConnectionError):
                        poll.modify(fd, select.POLLIN)
                if events & (select.POLLIN | select.POLLHUP | select.POLLERR):
                    alive = c.read(False)
                    while True:
                        found, message = c.take()
                        if not found:
                            break
                        if isinstance(message[1], Resume):
                            self.resumed += 1
                        else:
                            answers.append((worker, *message))
                    if not alive:
                        poll.unregister(fd)
                        self.died(worker)
            if self.resumed != resumed:
                break
        return answers

    def died(self, worker):
        process = self.processes[worker]
        process.join(5)
        code = process.exitcode
        pid = process.pid
        self.close()
        cause = None
        if code is not None and code < 0:
            import signal

            try:
                name = signal.strsignal(-code) or "signal %d" % -code
            except ValueError:
                name = "signal %d" % -code
            hint = (" It is possible that dataloader's workers are out of shared memory. Please try to raise your shared memory limit."
                    if -code == signal.SIGBUS else "")
            cause = RuntimeError("DataLoader worker (pid %d) is killed by signal: %s.%s" % (pid, name, hint))
        raise RuntimeError("DataLoader worker (pid(s) %d) exited unexpectedly" % pid) from cause

    def next(self):
        while True:
            if self.ready:
                return self.deliver(self.ready.popleft())
            while self.received < self.sent:
                info = self.tasks.get(self.received)
                if info is not None and (len(info) == 2 or self.active[info[0]]):
                    break
                self.tasks.pop(self.received, None)
                self.received += 1
            else:
                if not self.loader.persistent_workers:
                    self.close()
                raise StopIteration
            if len(info) == 2:
                del self.tasks[self.received]
                self.received += 1
                return self.deliver(info[1])
            for worker, idx, answer in self.wait(self.timeout):
                self.outstanding -= 1
                if self.loader._dataset_kind == DatasetKind.Iterable and isinstance(answer, End):
                    self.active[worker] = False
                    self.put_task()
                    continue
                if self.in_order:
                    self.tasks[idx] = (worker, answer)
                else:
                    del self.tasks[idx]
                    self.ready.append(answer)

    def deliver(self, answer):
        self.put_task()
        if isinstance(answer, WorkerError):
            answer.reraise()
        return answer

    def close(self):
        if self.closed or self.owner != os.getpid():  # a forked child has a copy that is none of its business
            return
        self.closed = True
        for c in self.channels:
            c.close(True)
        for p in self.processes:
            p.join(5)
            if p.is_alive():
                p.terminate()
                p.join(5)

    def __del__(self):
        try:
            self.close()
        except Exception:
            pass
