"""Graphs: a recorded piece of a stream, run again with one call."""
from .. import _C
from ._devices import _need, synchronize
from .streams import Stream, current_stream, stream as _stream


def is_current_stream_capturing():
    return bool(_C.cuda_device_count()) and _C.cuda_is_capturing()


def graph_pool_handle():
    """A place for the memory of graphs that never run at the same time."""
    return _Pool()


class _Pool:
    owner = None  # the first graph that took this pool


class CUDAGraph:
    def __init__(self, keep_graph=False):
        _need()
        self._graph, self._pool = None, None

    def capture_begin(self, pool=None, capture_error_mode="global"):
        self._pool = _Pool() if pool is None else pool
        share = self._pool.owner
        self._graph = _C.CudaGraph(None if share is None else share)
        if share is None:
            self._pool.owner = self._graph
        self._graph.begin_capture(current_stream()._handle)

    def capture_end(self):
        self._graph.end_capture()

    def replay(self):
        if self._graph is None:
            raise RuntimeError("Called CUDAGraph::replay without a preceding successful capture.")
        self._graph.replay()

    def reset(self):
        self._graph = None

    def pool(self):
        return self._pool

    def register_generator_state(self, generator):
        """Nothing to do: a capture finds out by itself which generators it draws from."""

    def debug_dump(self, path):
        raise NotImplementedError("CUDAGraph.debug_dump is not part of taper")


class graph:
    """with torch.cuda.graph(g): records the block into g."""

    default_capture_stream = None

    def __init__(self, cuda_graph, pool=None, stream=None, capture_error_mode="global"):
        if graph.default_capture_stream is None and stream is None:
            graph.default_capture_stream = Stream()
        self.cuda_graph, self.pool, self.mode = cuda_graph, pool, capture_error_mode
        self.stream = stream if stream is not None else graph.default_capture_stream

    def __enter__(self):
        import gc

        synchronize()
        gc.collect()
        self.context = _stream(self.stream)
        self.context.__enter__()
        self.cuda_graph.capture_begin(self.pool, self.mode)

    def __exit__(self, *exc):
        self.cuda_graph.capture_end()
        self.context.__exit__(*exc)
        return False


def make_graphed_callables(callables, sample_args, num_warmup_iters=3, allow_unused_input=False, pool=None):
    raise NotImplementedError("torch.cuda.make_graphed_callables: capture whole steps with torch.cuda.graph, or use torch.compile")
