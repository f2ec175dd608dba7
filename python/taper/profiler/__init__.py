"""torch.profiler: operator calls, named ranges and steps, with torch's schedule, its table and a Chrome trace."""
import enum
import threading
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
        self.begin = time.perf_counter_ns()
        return self

    def __exit__(self, *exc):
        if _running:
            _running[-1]._add(self.name, self.begin, time.perf_counter_ns())
        return False

    def __call__(self, function):
        from functools import wraps

        @wraps(function)
        def recorded(*args, **kwargs):
            with record_function(self.name):
                return function(*args, **kwargs)

        return recorded


class Event:
    """One call: times in microseconds."""

    def __init__(self, name, begin, end, own, thread, gpu=-1, gpu_begin=-1.0, gpu_time=-1.0, shapes="", range=False):
        self.name = name
        self.key = "ProfilerStep*" if range and name.startswith("ProfilerStep#") else name
        self.begin, self.end, self.thread, self.gpu, self.gpu_begin, self.range = begin, end, thread, gpu, gpu_begin, range
        self.cpu_time = self.cpu_time_total = (end - begin) / 1e3
        self.self_cpu_time_total = own / 1e3
        self.device_time = self.device_time_total = self.cuda_time = self.cuda_time_total = max(gpu_time, 0.0)
        self.self_device_time_total = self.self_cuda_time_total = self.device_time
        self.device_type = DeviceType.CUDA if gpu >= 0 else DeviceType.CPU
        self.count, self.shapes = 1, shapes

    def __repr__(self):
        return "<FunctionEvent name=%s cpu_time=%.3fus cuda_time=%.3fus>" % (self.name, self.cpu_time, self.cuda_time)


class _Average:
    """All calls under one name."""

    def __init__(self, event):
        self.key, self.shapes, self.count = event.key, event.shapes, 0
        self.cpu_time_total = self.self_cpu_time_total = self.device_time_total = self.self_device_time_total = 0.0

    def add(self, event):
        self.count += 1
        for word in ("cpu_time_total", "self_cpu_time_total", "device_time_total", "self_device_time_total"):
            setattr(self, word, getattr(self, word) + getattr(event, word))

    cpu_time = property(lambda self: self.cpu_time_total / self.count)
    device_time = cuda_time = property(lambda self: self.device_time_total / self.count)
    cuda_time_total = property(lambda self: self.device_time_total)
    self_cuda_time_total = property(lambda self: self.self_device_time_total)

    def __repr__(self):
        return "<FunctionEventAvg key=%s self_cpu_time=%s cpu_time=%s self_cuda_time=%s cuda_time=%s>" % (
            (self.key,) + tuple(map(_time, (self.self_cpu_time_total, self.cpu_time, self.self_cuda_time_total, self.cuda_time))))


def _time(us):
    return "%.3fs" % (us / 1e6) if us >= 1e6 else "%.3fms" % (us / 1e3) if us >= 1e3 else "%.3fus" % us


def _share(part, whole):
    return "%.2f%%" % (100 * part / whole) if whole else "--"


class EventList(list):
    def total_average(self):
        total = _Average(Event("Total", 0, 0, 0, 0))
        for e in self:
            total.count += e.count
            for word in ("self_cpu_time_total", "self_device_time_total"):
                setattr(total, word, getattr(total, word) + getattr(e, word))
        total.cpu_time_total, total.device_time_total = total.self_cpu_time_total, total.self_device_time_total
        return total

    def table(self, sort_by=None, row_limit=100, max_src_column_width=75, max_name_column_width=55, max_shapes_column_width=80, header=None,
              top_level_events_only=False):
        rows, total = list(self), self.total_average()
        if sort_by is not None:
            sort_by = sort_by.replace("cuda", "device")
            if rows and not hasattr(rows[0], sort_by):
                raise AttributeError("'FunctionEventAvg' object has no attribute '%s'" % sort_by)
            rows.sort(key=lambda a: getattr(a, sort_by), reverse=True)
        gpu, shapes = any(a.device_time_total > 0 for a in rows), any(getattr(a, "by_shape", False) for a in rows)
        titles = ["Name", "Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg"]
        if gpu:
            titles += ["Self CUDA", "Self CUDA %", "CUDA total", "CUDA time avg"]
        titles += ["# of Calls"] + (["Input Shapes"] if shapes else [])
        cells = []
        for a in rows[:row_limit if row_limit >= 0 else None]:
            name = a.key if max_name_column_width is None or len(a.key) <= max_name_column_width else a.key[:max_name_column_width - 3] + "..."
            c = [name, _share(a.self_cpu_time_total, total.cpu_time_total), _time(a.self_cpu_time_total), _share(a.cpu_time_total, total.cpu_time_total),
                 _time(a.cpu_time_total), _time(a.cpu_time_total / a.count)]
            if gpu:
                c += [_time(a.self_device_time_total), _share(a.self_device_time_total, total.device_time_total), _time(a.device_time_total),
                      _time(a.device_time_total / a.count)]
            cells.append(c + ["%d" % a.count] + ([a.shapes] if shapes else []))
        widths = [max(len(r[i]) for r in [titles] + cells) + 2 for i in range(len(titles))]
        rule = "  ".join("-" * w for w in widths)
        lines = ([header] if header else []) + [rule] + ["  ".join("%*s" % (w, c) for w, c in zip(widths, r)) for r in [titles]] + [rule]
        lines += ["  ".join("%*s" % (w, c) for w, c in zip(widths, r)) for r in cells] + [rule]
        lines.append("Self CPU time total: %s" % _time(total.self_cpu_time_total))
        if gpu:
            lines.append("Self CUDA time total: %s" % _time(total.self_device_time_total))
        return "\n".join(lines) + "\n"

    def __str__(self):
        return self.table()

    def key_averages(self, group_by_input_shapes=False, group_by_stack_n=0):
        found = {}
        for e in self:
            key = (e.key, e.shapes if group_by_input_shapes else "")
            a = found.get(key)
            if a is None:
                a = found[key] = _Average(e)
                a.by_shape = group_by_input_shapes
            a.add(e)
        return EventList(found.values())

    def export_chrome_trace(self, path):
        import json
        import os

        pid, trace = os.getpid(), []
        zero = min((e.begin for e in self if e.gpu >= 0), default=0)
        for e in self:
            trace.append({"ph": "X", "cat": "user_annotation" if e.range else "cpu_op", "name": e.name, "pid": pid, "tid": e.thread, "ts": e.begin / 1e3,
                          "dur": e.cpu_time_total, "args": {"Input Dims": e.shapes} if e.shapes else {}})
            if e.gpu >= 0:
                trace.append({"ph": "X", "cat": "kernel", "name": e.name, "pid": e.gpu, "tid": "GPU %d" % e.gpu, "ts": zero / 1e3 + e.gpu_begin,
                              "dur": e.device_time_total, "args": {"device": e.gpu}})
        with open(path, "w") as f:
            json.dump({"schemaVersion": 1, "traceEvents": trace, "displayTimeUnit": "ms"}, f)


class profile:
    """Records operator calls, the ranges of record_function and the steps while its schedule says so."""

    def __init__(self, *, activities=None, schedule=None, on_trace_ready=None, record_shapes=False, profile_memory=False, with_stack=False,
                 with_flops=False, with_modules=False, experimental_config=None, execution_trace_observer=None, acc_events=False,
                 use_cuda=None, enabled=True, use_device=None, use_kineto=True, use_cpu=True, custom_trace_id_callback=None):
        self.activities = set(activities) if activities else supported_activities()
        self.schedule = schedule or (lambda step: ProfilerAction.RECORD)
        self._scheduled = schedule is not None
        self.on_trace_ready, self.step_num, self.enabled, self.record_shapes = on_trace_ready, 0, enabled, record_shapes
        self._events, self._recording = EventList(), False
        self._gpu = ProfilerActivity.CUDA in self.activities or bool(use_cuda) or use_device == "cuda"
        self.current_action = self.schedule(0)

    def _add(self, name, begin, end):
        if self._recording:
            self._events.append(Event(name, begin, end, 0, threading.get_native_id(), range=True))

    def _record(self):
        """Starts or ends the recording as the present action says."""
        wanted = self.current_action in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE) and self in _running
        if wanted and not self._recording:
            self._events = EventList()
            _C.profile_start(self.record_shapes, self._gpu)
        elif self._recording and not wanted:
            self._collect()
        self._recording = wanted

    def _collect(self):
        self._events = EventList(sorted([Event(*e) for e in _C.profile_stop()] + self._events, key=lambda e: e.begin))
        self._own_times()

    def _own_times(self):
        """A range's own time is what no operator or inner range in it took."""
        open_ranges = {}
        for e in self._events:
            stack = open_ranges.setdefault(e.thread, [])
            while stack and stack[-1].end <= e.begin:
                stack.pop()
            if e.range:
                e.self_cpu_time_total = e.cpu_time_total
            if stack and stack[-1].range and e.end <= stack[-1].end:
                stack[-1].self_cpu_time_total -= e.cpu_time_total
            stack.append(e)

    def start(self):
        if not self.enabled:
            return
        _running.append(self)
        try:
            self._record()
        except RuntimeError:
            _running.remove(self)
            raise
        self.step_begin = time.perf_counter_ns()

    def stop(self):
        if self not in _running:
            return
        _running.remove(self)
        was = self._recording
        self._record()
        if self.on_trace_ready and was and (not self._scheduled or self.current_action == ProfilerAction.RECORD_AND_SAVE):
            self.on_trace_ready(self)

    def step(self):
        if self not in _running:
            return
        if self._scheduled:
            self._add("ProfilerStep#%d" % self.step_num, self.step_begin, time.perf_counter_ns())
        finished = self.current_action == ProfilerAction.RECORD_AND_SAVE
        self.step_num += 1
        self.current_action = self.schedule(self.step_num)
        if finished:
            self._collect()
            self._recording = False
            if self.on_trace_ready:
                self.on_trace_ready(self)
        self._record()
        self.step_begin = time.perf_counter_ns()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.stop()
        return False

    def key_averages(self, group_by_input_shape=False, group_by_stack_n=0):
        return self.events().key_averages(group_by_input_shape, group_by_stack_n)

    def events(self):
        if self._recording:
            raise AssertionError("Profiler didn't finish running")
        return self._events

    def table(self, *args, **kwargs):
        return self.key_averages().table(*args, **kwargs)

    def export_chrome_trace(self, path):
        self.events().export_chrome_trace(path)

    def export_stacks(self, path, metric="self_cpu_time_total"):
        raise NotImplementedError("torch.profiler.profile.export_stacks is not part of taper")

    def total_average(self):
        return self.events().total_average()

    self_cpu_time_total = property(lambda self: self.total_average().self_cpu_time_total)

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
