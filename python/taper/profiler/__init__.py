"""torch.profiler: wall time of named ranges and steps, with torch's schedule and a Chrome trace."""
import enum
import time

from .. import _C

__all__ = ["profile", "schedule", "supported_activities", "tensorboard_trace_handler", "ProfilerAction", "ProfilerActivity",
           "record_function", "kineto_available", "DeviceType"]


class ProfilerActivity(enum.Enum):
    CPU = 0
    XPU = 1
    MTIA = 2
    CUDA = 3


class ProfilerAction(enum.Enum):
    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


class DeviceType(enum.Enum):
    CPU = 0
    CUDA = 1


def kineto_available():
    return False


def supported_activities():
    return {ProfilerActivity.CPU} | ({ProfilerActivity.CUDA} if _C.cuda_device_count() else set())


def schedule(*, wait, warmup, active, repeat=0, skip_first=0, skip_first_wait=0):
    """step -> action: wait, warm up, record, as often as `repeat` says."""

    def action(step):
        if step < skip_first:
            return ProfilerAction.NONE
        step -= skip_first
        if skip_first_wait != 0:
            step += wait
        period = wait + warmup + active
        if repeat > 0 and step / period >= repeat:
            return ProfilerAction.NONE
        at = step % period
        if at < wait:
            return ProfilerAction.NONE
        if at < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if at < period - 1 else ProfilerAction.RECORD_AND_SAVE

    if wait < 0 or warmup < 0 or active <= 0 or repeat < 0 or skip_first < 0:
        raise AssertionError("Invalid profiler schedule arguments")
    return action


_running = []


class record_function:
    """A named range; also a decorator."""

    def __init__(self, name, args=None):
        self.name = name

    def __enter__(self):
        self.begin = time.perf_counter()
        return self

    def __exit__(self, *exc):
        if _running:
            _running[-1]._add(self.name, self.begin, time.perf_counter())
        return False

    def __call__(self, function):
        from functools import wraps

        @wraps(function)
        def recorded(*args, **kwargs):
            with record_function(self.name):
                return function(*args, **kwargs)

        return recorded


class _Average:
    def __init__(self, key):
        self.key, self.count, self.cpu_time_total = key, 0, 0.0

    @property
    def cpu_time(self):
        return self.cpu_time_total / self.count

    self_cpu_time_total = property(lambda self: self.cpu_time_total)
    cuda_time_total = self_cuda_time_total = device_time_total = 0.0


class _Averages(list):
    def table(self, sort_by=None, row_limit=100, max_src_column_width=75, max_name_column_width=55, top_level_events_only=False,
              header=None):
        rows = sorted(self, key=lambda a: -a.cpu_time_total)[:row_limit]
        width = max([len("Name")] + [min(len(a.key), max_name_column_width) for a in rows])
        line = "-" * width + "  " + "  ".join(["-" * 12] * 3)
        text = [line, "%*s  %12s  %12s  %12s" % (width, "Name", "CPU total", "CPU time avg", "# of Calls"), line]
        for a in rows:
            text.append("%*s  %10.3fus  %10.3fus  %12d" % (width, a.key[:max_name_column_width], a.cpu_time_total, a.cpu_time, a.count))
        return "\n".join(text + [line]) + "\n"


class profile:
    """Records the ranges of record_function and the steps; operators are profiled by `taper` itself (TAPER_LOG=profile)."""

    def __init__(self, *, activities=None, schedule=None, on_trace_ready=None, record_shapes=False, profile_memory=False, with_stack=False,
                 with_flops=False, with_modules=False, experimental_config=None, execution_trace_observer=None, acc_events=False,
                 use_cuda=None, enabled=True, use_device=None, use_kineto=True, use_cpu=True, custom_trace_id_callback=None):
        self.schedule = schedule or (lambda step: ProfilerAction.RECORD)
        self._scheduled = schedule is not None
        self.on_trace_ready, self.step_num, self.ranges, self.enabled = on_trace_ready, 0, [], enabled
        self.current_action = self.schedule(0)

    def _add(self, name, begin, end):
        if self.current_action in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE):
            self.ranges.append((name, begin, end))

    def start(self):
        self.step_begin = self.began = time.perf_counter()
        if self.enabled:
            _running.append(self)

    def stop(self):
        if self in _running:
            _running.remove(self)
        if self._scheduled:
            if self.current_action == ProfilerAction.RECORD_AND_SAVE and self.ranges and self.on_trace_ready:
                self.on_trace_ready(self)
        elif self.on_trace_ready:
            self.on_trace_ready(self)

    def step(self):
        now = time.perf_counter()
        self._add("ProfilerStep#%d" % self.step_num, self.step_begin, now)
        if self.current_action == ProfilerAction.RECORD_AND_SAVE:
            if self.on_trace_ready:
                self.on_trace_ready(self)
            self.ranges = []
        self.step_num += 1
        self.current_action = self.schedule(self.step_num)
        self.step_begin = time.perf_counter()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.stop()
        return False

    def key_averages(self, group_by_input_shape=False, group_by_stack_n=0):
        found = {}
        for name, begin, end in self.ranges:
            a = found.setdefault(name, _Average(name))
            a.count += 1
            a.cpu_time_total += (end - begin) * 1e6
        return _Averages(found.values())

    def events(self):
        return [_Average(name) for name, _, _ in self.ranges]

    def export_chrome_trace(self, path):
        import json
        import os

        events = [{"ph": "X", "cat": "user_annotation", "name": n, "pid": os.getpid(), "tid": 0, "ts": b * 1e6, "dur": (e - b) * 1e6}
                  for n, b, e in self.ranges]
        with open(path, "w") as f:
            json.dump({"schemaVersion": 1, "traceEvents": events}, f)

    def export_stacks(self, path, metric="self_cpu_time_total"):
        raise NotImplementedError("torch.profiler.profile.export_stacks is not part of taper")

    def add_metadata(self, key, value):
        pass

    add_metadata_json = add_metadata


def tensorboard_trace_handler(dir_name, worker_name=None, use_gzip=False):
    """An on_trace_ready that writes a trace file for each cycle."""
    import os

    def handler(prof):
        import socket

        os.makedirs(dir_name, exist_ok=True)
        worker = worker_name or "%s_%d" % (socket.gethostname(), os.getpid())
        path = os.path.join(dir_name, "%s.%d.pt.trace.json" % (worker, time.time_ns()))
        prof.export_chrome_trace(path)
        if use_gzip:
            import gzip
            import shutil

            with open(path, "rb") as a, gzip.open(path + ".gz", "wb") as b:
                shutil.copyfileobj(a, b)
            os.unlink(path)

    return handler
