"""SummaryWriter."""
import os
import time

from ... import _C
from . import summary as _s

__all__ = ["FileWriter", "SummaryWriter"]


def _open(folder, suffix):
    kind = getattr(_C, "EventWriter", None)
    if kind is None:
        from .event_file import EventWriter as kind
    return kind(folder, suffix)


def _time(walltime):
    return -1.0 if walltime is None else float(walltime)


class FileWriter:
    """One event file of one folder."""

    def __init__(self, log_dir, max_queue=10, flush_secs=120, filename_suffix=""):
        self._dir, self._writer = str(log_dir), _open(str(log_dir), filename_suffix)

    def get_logdir(self):
        return self._dir

    def flush(self):
        self._writer.flush()

    def close(self):
        self._writer.close()


def _number(x):
    if isinstance(x, _C.Tensor):
        return float(x.item())
    return float(x)


def _tensor(x):
    if isinstance(x, _C.Tensor):
        return x.detach().cpu()
    return _C.ops.as_tensor(x)


def _pixels(tensor, dataformats):
    """Image tensor -> bytes, height, width, channels. Floats are 0..1, integers 0..255; N images are laid in a grid."""
    t = _tensor(tensor)
    if len(dataformats) != t.dim():
        raise AssertionError("size of input tensor and input format are different. tensor shape: %s, input_format: %s"
                             % (tuple(t.shape), dataformats))
    order = dataformats.upper()
    if t.dtype != _C.uint8:
        scale = 255 if t.is_floating_point() else 1
        t = (t.float() * scale).clamp(0, 255).to(_C.uint8)
    if len(order) == 2:
        t = t.permute(order.index("H"), order.index("W")).unsqueeze(-1).expand(-1, -1, 3)
    elif len(order) == 3:
        t = t.permute(*(order.index(c) for c in "HWC"))
    else:
        t = t.permute(*(order.index(c) for c in "NHWC"))
        n, h, w, c = t.shape
        columns = 1
        while columns * columns < n:
            columns += 1
        rows = -(-n // columns)
        sheet = _C.ops.zeros((rows * h, columns * w, c), dtype=_C.uint8)
        for i in range(n):
            y, x = i // columns * h, i % columns * w
            sheet[y : y + h, x : x + w] = t[i]
        t = sheet
    if t.shape[2] == 1:
        t = t.expand(-1, -1, 3)
    t = t.contiguous()
    start = t.storage_offset()
    return bytes(_C.storage_bytes(t)[start : start + t.numel()]), t.shape[0], t.shape[1], t.shape[2]


class SummaryWriter:
    """Writes to ./runs/DATE_host unless log_dir is given."""

    def __init__(self, log_dir=None, comment="", purge_step=None, max_queue=10, flush_secs=120, filename_suffix=""):
        if not log_dir:
            import socket
            from datetime import datetime

            log_dir = os.path.join("runs", datetime.now().strftime("%b%d_%H-%M-%S") + "_" + socket.gethostname() + comment)
        self.log_dir = str(log_dir) if not isinstance(log_dir, str) else log_dir
        self.purge_step, self.flush_secs, self.filename_suffix = purge_step, flush_secs, filename_suffix
        self.file_writer = self.all_writers = None
        self._flushed = time.monotonic()
        self._get_file_writer()

    def _get_file_writer(self):
        if self.all_writers is None or self.file_writer is None:
            self.file_writer = FileWriter(self.log_dir, filename_suffix=self.filename_suffix)
            self.all_writers = {self.log_dir: self.file_writer}
            if self.purge_step is not None:
                # A session that starts again at this step: TensorBoard drops what an older file has from here on.
                writer = self.file_writer._writer
                if hasattr(writer, "session_start"):
                    writer.session_start(self.purge_step)
                elif hasattr(writer, "_record"):
                    writer._record(_s.field(1, time.time()) + _s.field(2, self.purge_step) + _s.field(7, _s.field(1, 1)))
            self.purge_step = None
        return self.file_writer

    @property
    def _writer(self):
        writer = self._get_file_writer()._writer
        if time.monotonic() - self._flushed > self.flush_secs:
            self._flushed = time.monotonic()
            writer.flush()
        return writer

    def get_logdir(self):
        return self.log_dir

    def add_scalar(self, tag, scalar_value, global_step=None, walltime=None, new_style=False, double_precision=False):
        self._writer.scalar(tag, _number(scalar_value), global_step or 0, _time(walltime))

    def add_scalars(self, main_tag, tag_scalar_dict, global_step=None, walltime=None):
        base = self._get_file_writer().get_logdir()
        for tag, value in tag_scalar_dict.items():
            folder = base + "/" + main_tag.replace("/", "_") + "_" + tag
            writer = self.all_writers.get(folder)
            if writer is None:
                writer = self.all_writers[folder] = FileWriter(folder, filename_suffix=self.filename_suffix)
            writer._writer.scalar(main_tag, _number(value), global_step or 0, _time(walltime))

    def add_histogram(self, tag, values, global_step=None, bins="tensorflow", walltime=None, max_bins=None):
        self._writer.histogram(tag, _tensor(values), global_step or 0, _time(walltime))

    def add_histogram_raw(self, tag, min, max, num, sum, sum_squares, bucket_limits, bucket_counts, global_step=None, walltime=None):
        import struct

        if len(bucket_limits) != len(bucket_counts):
            raise ValueError("len(bucket_limits) != len(bucket_counts), see the document.")
        pack = lambda xs: struct.pack("<%dd" % len(xs), *map(float, xs))  # noqa: E731
        histo = b"".join(_s.field(n, float(v)) for n, v in ((1, min), (2, max), (3, num), (4, sum), (5, sum_squares)))
        histo += _s.field(6, pack(list(bucket_limits))) + _s.field(7, pack(list(bucket_counts)))
        self._writer.summary(_s.value(tag, _s.field(5, histo)), global_step or 0, _time(walltime))

    def add_image(self, tag, img_tensor, global_step=None, walltime=None, dataformats="CHW"):
        self._writer.image(tag, *_pixels(img_tensor, dataformats), global_step or 0, _time(walltime))

    def add_images(self, tag, img_tensor, global_step=None, walltime=None, dataformats="NCHW"):
        self.add_image(tag, img_tensor, global_step, walltime, dataformats)

    def add_figure(self, tag, figure, global_step=None, close=True, walltime=None):
        figures = figure if isinstance(figure, list) else [figure]
        for f in figures:
            f.canvas.draw()
            width, height = f.canvas.get_width_height()
            self._writer.image(tag, bytes(f.canvas.buffer_rgba()), height, width, 4, global_step or 0, _time(walltime))
            if close:
                import matplotlib.pyplot as plt

                plt.close(f)

    def add_text(self, tag, text_string, global_step=None, walltime=None):
        self._writer.summary(_s.tensor_text(tag + "/text_summary", text_string), global_step or 0, _time(walltime))

    def add_hparams(self, hparam_dict, metric_dict, hparam_domain_discrete=None, run_name=None, global_step=None):
        if not isinstance(hparam_dict, dict) or not isinstance(metric_dict, dict):
            raise TypeError("hparam_dict and metric_dict should be dictionary.")
        parts = _s.hparams({k: (v.item() if isinstance(v, _C.Tensor) else v) for k, v in hparam_dict.items()}, metric_dict,
                           hparam_domain_discrete)
        with SummaryWriter(os.path.join(self.log_dir, run_name or str(time.time()))) as w:
            for part in parts:
                w._writer.summary(part, 0, -1.0)
            for k, v in metric_dict.items():
                w.add_scalar(k, v, global_step)

    def add_custom_scalars(self, layout):
        self._writer.summary(_s.scalars_layout(layout), 0, -1.0)

    def add_custom_scalars_multilinechart(self, tags, category="default", title="untitled"):
        self.add_custom_scalars({category: {title: ["Multiline", tags]}})

    def add_custom_scalars_marginchart(self, tags, category="default", title="untitled"):
        self.add_custom_scalars({category: {title: ["Margin", tags]}})

    def add_graph(self, model, input_to_model=None, verbose=False, use_strict_trace=True):
        """Writes nothing: taper traces no graphs."""
        import warnings

        warnings.warn("SummaryWriter.add_graph: taper traces no graphs, nothing was written", stacklevel=2)

    def _unsupported(name):
        def method(self, *args, **kwargs):
            raise NotImplementedError("SummaryWriter.%s is not part of taper's event writer" % name)

        method.__name__ = name
        return method

    for _name in ("add_embedding", "add_audio", "add_video", "add_mesh", "add_pr_curve", "add_pr_curve_raw", "add_onnx_graph",
                  "add_image_with_boxes", "add_tensor"):
        locals()[_name] = _unsupported(_name)
    del _name, _unsupported

    def flush(self):
        for writer in (self.all_writers or {}).values():
            writer.flush()

    def close(self):
        for writer in (self.all_writers or {}).values():
            writer.close()
        self.file_writer = self.all_writers = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
        return False
