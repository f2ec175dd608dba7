"""torch.utils.benchmark: a Timer that waits for the GPU and repeats until the time is steady."""
import time as _time
import timeit as _timeit

from .. import _C

__all__ = ["Timer", "Measurement", "timer"]


def timer():
    if _C.cuda_device_count():
        _C.cuda_synchronize(-1)
    return _time.perf_counter()


def _text(seconds):
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return "%.2f %s" % (seconds / scale, unit)
    return "%.2f ns" % (seconds * 1e9)


class Measurement:
    """Times of one statement, in seconds for one run."""

    def __init__(self, number_per_run, raw_times, task_spec):
        self.number_per_run, self.raw_times, self.task_spec = number_per_run, raw_times, task_spec
        self.metadata = None

    @property
    def times(self):
        return sorted(t / self.number_per_run for t in self.raw_times)

    @property
    def median(self):
        t = self.times
        return (t[(len(t) - 1) // 2] + t[len(t) // 2]) / 2

    @property
    def mean(self):
        return sum(self.times) / len(self.raw_times)

    def _quantile(self, q):
        t = self.times
        at = q * (len(t) - 1)
        i = int(at)
        return t[i] + (t[min(i + 1, len(t) - 1)] - t[i]) * (at - i)

    @property
    def iqr(self):
        return self._quantile(0.75) - self._quantile(0.25)

    @property
    def title(self):
        return self.task_spec.get("label") or self.task_spec["stmt"]

    def __repr__(self):
        spec = self.task_spec
        head = "<torch.utils.benchmark.utils.common.Measurement object at %#x>\n%s" % (id(self), self.title)
        head += "".join("\n" + str(spec[k]) for k in ("sub_label", "description") if spec.get(k))
        n = len(self.raw_times)
        if n == 1:
            body = "  %s\n  1 measurement, %d runs , %d thread" % (_text(self.median), self.number_per_run, spec["num_threads"])
        else:
            body = "  Median: %s\n  IQR:    %s (%s to %s)\n  %d measurements, %d runs per measurement, %d thread" % (
                _text(self.median), _text(self.iqr), _text(self._quantile(0.25)), _text(self._quantile(0.75)), n, self.number_per_run,
                spec["num_threads"])
        return head + "\n" + body + ("s" if spec["num_threads"] != 1 else "")


class Timer:
    def __init__(self, stmt="pass", setup="pass", global_setup="", timer=timer, globals=None, label=None, sub_label=None, description=None,
                 env=None, num_threads=1, language="python"):
        if str(language).lower().endswith(("c++", "cpp")):
            raise NotImplementedError("torch.utils.benchmark.Timer(language='c++'): only Python statements are timed")
        if not isinstance(stmt, str) and not callable(stmt):
            raise ValueError("stmt must be a string or a callable")
        space = dict(globals or {})
        import taper

        space.setdefault("torch", taper)
        self._timer = _timeit.Timer(stmt, setup, timer, space)
        self._spec = {"stmt": stmt, "setup": setup, "label": label, "sub_label": sub_label, "description": description,
                      "num_threads": num_threads}

    class _Threads:
        def __init__(self, n):
            self.n = n

        def __enter__(self):
            self.before = _C.get_num_threads()
            _C.set_num_threads(self.n)

        def __exit__(self, *exc):
            _C.set_num_threads(self.before)

    def timeit(self, number=1000000):
        with self._Threads(self._spec["num_threads"]):
            self._timer.timeit(max(number // 100, 2))
            return Measurement(number, [self._timer.timeit(number)], self._spec)

    def _block_size(self, least):
        number = 1
        while True:
            if self._timer.timeit(number) >= least or number >= 10**7:
                return number
            number *= 10

    def blocked_autorange(self, callback=None, min_run_time=0.2):
        with self._Threads(self._spec["num_threads"]):
            number = self._block_size(min_run_time / 1000)
            times, begin = [], _time.perf_counter()
            while not times or _time.perf_counter() - begin < min_run_time:
                times.append(self._timer.timeit(number))
            return Measurement(number, times, self._spec)

    def adaptive_autorange(self, threshold=0.1, *, min_run_time=0.01, max_run_time=10.0, callback=None):
        with self._Threads(self._spec["num_threads"]):
            number = self._block_size(min_run_time / 1000)
            times, begin = [], _time.perf_counter()
            while True:
                times.append(self._timer.timeit(number))
                m, spent = Measurement(number, times, self._spec), _time.perf_counter() - begin
                if spent > max_run_time or (len(times) > 3 and spent > min_run_time and m.iqr < threshold * m.median):
                    return m


class Compare:
    """A table of measurements."""

    def __init__(self, results):
        self.results = list(results)

    def __str__(self):
        width = max(len(str(m.title)) for m in self.results)
        return "\n".join("%-*s  %s  %s" % (width, m.title, m.task_spec.get("description") or "", _text(m.median)) for m in self.results)

    def print(self):
        print(str(self))

    def trim_significant_figures(self):
        pass

    def colorize(self, rowwise=False):
        pass
