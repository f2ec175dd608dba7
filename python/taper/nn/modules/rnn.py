"""RNN, LSTM, GRU and their cells, with torch's parameter names and order."""
import math

from .. import init
from .._functional import recurrent as _r
from ..._C import Tensor, ops
from ..parameter import Parameter
from ..utils.rnn import PackedSequence
from .module import Module

__all__ = ["RNNBase", "RNN", "LSTM", "GRU", "RNNCellBase", "RNNCell", "LSTMCell", "GRUCell"]

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


def apply_permutation(tensor, permutation, dim=1):
    return tensor.index_select(dim, permutation)


class RNNBase(Module):
    __constants__ = ["mode", "input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional", "proj_size"]
    __jit_unused_properties__ = ["all_weights"]

    def __init__(self, mode, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False,
                 proj_size=0, device=None, dtype=None):
        super().__init__()
        self.mode, self.input_size, self.hidden_size, self.num_layers = mode, input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        self._flat_weight_refs = []
        if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
            raise ValueError("dropout should be a number in range [0, 1] representing the probability of an element being zeroed")
        if dropout > 0 and num_layers == 1:
            import warnings

            warnings.warn("dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects num_layers greater "
                          "than 1, but got dropout=%s and num_layers=%s" % (dropout, num_layers))
        if not isinstance(hidden_size, int):
            raise TypeError("hidden_size should be of type int, got: %s" % type(hidden_size).__name__)
        if hidden_size <= 0:
            raise ValueError("hidden_size must be greater than zero")
        if num_layers <= 0:
            raise ValueError("num_layers must be greater than zero")
        if proj_size < 0:
            raise ValueError("proj_size should be a positive integer or zero to disable projections")
        if proj_size >= hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        if mode not in _GATES:
            raise ValueError("Unrecognized RNN mode: " + mode)
        made = {"device": device, "dtype": dtype}
        rows = _GATES[mode] * hidden_size
        real_hidden = proj_size if proj_size > 0 else hidden_size
        directions = 2 if bidirectional else 1
        self._flat_weights_names, self._all_weights = [], []
        for layer in range(num_layers):
            for direction in range(directions):
                width = input_size if layer == 0 else real_hidden * directions
                suffix = "_l%d%s" % (layer, "_reverse" if direction == 1 else "")
                shapes = [("weight_ih", (rows, width)), ("weight_hh", (rows, real_hidden))]
                if bias:
                    shapes += [("bias_ih", (rows,)), ("bias_hh", (rows,))]
                if proj_size > 0:
                    shapes.append(("weight_hr", (proj_size, hidden_size)))
                names = [name + suffix for name, _ in shapes]
                for name, (_, shape) in zip(names, shapes):
                    setattr(self, name, Parameter(ops.empty(shape, **made)))
                self._flat_weights_names.extend(names)
                self._all_weights.append(names)
        self.reset_parameters()

    @property
    def _flat_weights(self):
        return [getattr(self, name, None) for name in self._flat_weights_names]

    @property
    def all_weights(self):
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def flatten_parameters(self):
        """Nothing to do: weights are used where they are."""

    def reset_parameters(self):
        stdv = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -stdv, stdv)

    def _weights(self):
        result = []
        for names in self._all_weights:
            w = [getattr(self, name) for name in names]
            b_ih, b_hh = (w[2], w[3]) if self.bias else (None, None)
            result.append((w[0], w[1], b_ih, b_hh, w[-1] if self.proj_size > 0 else None))
        return result

    def check_input(self, input, batch_sizes):
        if input.dtype != self._parameters["weight_ih_l0"].dtype and not _autocast_is_on(input):
            raise ValueError("RNN input dtype (%s) does not match weight dtype (%s). Convert input: input.to(%s), or convert model: "
                             "model.to(%s)" % (input.dtype, self.weight_ih_l0.dtype, self.weight_ih_l0.dtype, input.dtype))
        expected = 2 if batch_sizes is not None else 3
        if input.dim() != expected:
            raise RuntimeError("input must have %d dimensions, got %d" % (expected, input.dim()))
        if self.input_size != input.size(-1):
            raise RuntimeError("input.size(-1) must be equal to input_size. Expected %d, got %d" % (self.input_size, input.size(-1)))

    def get_expected_hidden_size(self, input, batch_sizes):
        if batch_sizes is not None:
            batch = int(batch_sizes[0])
        else:
            batch = input.size(0) if self.batch_first else input.size(1)
        directions = 2 if self.bidirectional else 1
        return self.num_layers * directions, batch, self.proj_size if self.proj_size > 0 else self.hidden_size

    def get_expected_cell_size(self, input, batch_sizes):
        n, batch, _ = self.get_expected_hidden_size(input, batch_sizes)
        return n, batch, self.hidden_size

    def check_hidden_size(self, hx, expected_hidden_size, msg="Expected hidden size {}, got {}"):
        if tuple(hx.size()) != expected_hidden_size:
            raise RuntimeError(msg.format(expected_hidden_size, list(hx.size())))

    def check_forward_args(self, input, hidden, batch_sizes):
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden, self.get_expected_hidden_size(input, batch_sizes))

    def permute_hidden(self, hx, permutation):
        return hx if permutation is None else apply_permutation(hx, permutation)

    def _zeros(self, size, input):
        return ops.zeros(size, dtype=input.dtype, device=input.device)

    def _forward(self, input, hx):
        """Shared by RNN, GRU and LSTM: hx is None or a tuple of one or two tensors; gives output and a tuple."""
        packed = isinstance(input, PackedSequence)
        lstm = self.mode == "LSTM"
        batched = True
        if packed:
            data, batch_sizes, sorted_indices, unsorted_indices = input
        else:
            if input.dim() not in (2, 3):
                raise ValueError("%s: Expected input to be 2D or 3D, got %dD tensor instead" % (type(self).__name__, input.dim()))
            batched = input.dim() == 3
            batch_dim = 0 if self.batch_first else 1
            data, batch_sizes, sorted_indices, unsorted_indices = input, None, None, None
            if not batched:
                data = input.unsqueeze(batch_dim)
        n, batch, real_hidden = self.get_expected_hidden_size(data, batch_sizes)
        if hx is None:
            hx = (self._zeros((n, batch, real_hidden), data),)
            if lstm:
                hx += (self._zeros((n, batch, self.hidden_size), data),)
            self.check_input(data, batch_sizes)
        else:
            if not packed:
                wanted = 3 if batched else 2
                if any(h.dim() != wanted for h in hx):
                    if lstm:
                        kind = "batched 3-D" if batched else "unbatched 2-D"
                        raise RuntimeError("For %s input, hx and cx should also be %d-D but got (%d-D, %d-D) tensors"
                                           % (kind, wanted, hx[0].dim(), hx[1].dim()))
                    kind = "batched 3-D" if batched else "unbatched 2-D"
                    raise RuntimeError("For %s input, hx should also be %d-D but got %d-D tensor" % (kind, wanted, hx[0].dim()))
                if not batched:
                    hx = tuple(h.unsqueeze(1) for h in hx)
            hx = tuple(self.permute_hidden(h, sorted_indices) for h in hx)
            if lstm:
                self.check_forward_args(data, hx, batch_sizes)
            else:
                self.check_forward_args(data, hx[0], batch_sizes)
        if not packed and self.batch_first:
            data = data.transpose(0, 1)
        sizes = None if batch_sizes is None else batch_sizes.tolist()
        out, last = _r.run_layers(self.mode, data, sizes, hx, self._weights(), self.num_layers, 2 if self.bidirectional else 1,
                                  self.dropout, self.training)
        if packed:
            out = PackedSequence(out, batch_sizes, sorted_indices, unsorted_indices)
            return out, tuple(self.permute_hidden(h, unsorted_indices) for h in last)
        if self.batch_first:
            out = out.transpose(0, 1)
        if not batched:
            out, last = out.squeeze(batch_dim), tuple(h.squeeze(1) for h in last)
        return out, last

    def extra_repr(self):
        s = "%s, %s" % (self.input_size, self.hidden_size)
        if self.proj_size != 0:
            s += ", proj_size=%s" % self.proj_size
        if self.num_layers != 1:
            s += ", num_layers=%s" % self.num_layers
        if self.bias is not True:
            s += ", bias=%s" % self.bias
        if self.batch_first is not False:
            s += ", batch_first=%s" % self.batch_first
        if self.dropout != 0:
            s += ", dropout=%s" % self.dropout
        if self.bidirectional is not False:
            s += ", bidirectional=%s" % self.bidirectional
        return s

    def __getstate__(self):
        # torch's files hold the weights a second time under this name.
        state = super().__getstate__()
        state["_flat_weights"] = self._flat_weights
        return state

    def __setstate__(self, state):
        state = dict(state)
        state.pop("_flat_weights", None)
        super().__setstate__(state)
        self.__dict__.setdefault("proj_size", 0)
        self.__dict__.setdefault("_flat_weight_refs", [])
        if "_flat_weights_names" not in self.__dict__:
            self._flat_weights_names = [name for names in self._all_weights for name in names]


def _autocast_is_on(input):
    from ..._C import is_autocast_enabled

    return is_autocast_enabled(input.device.type)


class RNN(RNNBase):
    def __init__(self, *args, **kwargs):
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        args = list(args)
        self_nonlinearity = args.pop(3) if len(args) > 3 else kwargs.pop("nonlinearity", "tanh")
        modes = {"tanh": "RNN_TANH", "relu": "RNN_RELU"}
        if self_nonlinearity not in modes:
            raise ValueError("Unknown nonlinearity '%s'. Select from 'tanh' or 'relu'." % (self_nonlinearity,))
        super().__init__(modes[self_nonlinearity], *args, **kwargs)
        self.nonlinearity = self_nonlinearity

    def forward(self, input, hx=None):
        out, last = self._forward(input, None if hx is None else (hx,))
        return out, last[0]


class GRU(RNNBase):
    def __init__(self, *args, **kwargs):
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__("GRU", *args, **kwargs)

    def forward(self, input, hx=None):
        out, last = self._forward(input, None if hx is None else (hx,))
        return out, last[0]


class LSTM(RNNBase):
    def __init__(self, *args, **kwargs):
        super().__init__("LSTM", *args, **kwargs)

    def check_forward_args(self, input, hidden, batch_sizes):
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden[0], self.get_expected_hidden_size(input, batch_sizes), "Expected hidden[0] size {}, got {}")
        self.check_hidden_size(hidden[1], self.get_expected_cell_size(input, batch_sizes), "Expected hidden[1] size {}, got {}")

    def forward(self, input, hx=None):
        return self._forward(input, None if hx is None else tuple(hx))


class RNNCellBase(Module):
    __constants__ = ["input_size", "hidden_size", "bias"]

    def __init__(self, input_size, hidden_size, bias, num_chunks, device=None, dtype=None):
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(ops.empty((rows, input_size), device=device, dtype=dtype))
        self.weight_hh = Parameter(ops.empty((rows, hidden_size), device=device, dtype=dtype))
        if bias:
            self.bias_ih = Parameter(ops.empty(rows, device=device, dtype=dtype))
            self.bias_hh = Parameter(ops.empty(rows, device=device, dtype=dtype))
        else:
            self.register_parameter("bias_ih", None)
            self.register_parameter("bias_hh", None)
        self.reset_parameters()

    def reset_parameters(self):
        stdv = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -stdv, stdv)

    def _gates(self, input, h):
        return ops.linear(input, self.weight_ih, self.bias_ih), ops.linear(h, self.weight_hh, self.bias_hh)

    def _begin(self, input, hx):
        """input and hx with a batch dimension; hx zeros when not given."""
        if input.dim() not in (1, 2):
            raise ValueError("%s: Expected input to be 1D or 2D, got %dD instead" % (type(self).__name__, input.dim()))
        for h in (hx if isinstance(hx, tuple) else (hx,)):
            if isinstance(h, Tensor) and h.dim() not in (1, 2):
                raise ValueError("%s: Expected hidden to be 1D or 2D, got %dD instead" % (type(self).__name__, h.dim()))
        batched = input.dim() == 2
        if not batched:
            input = input.unsqueeze(0)
        if hx is None:
            return batched, input, ops.zeros((input.size(0), self.hidden_size), dtype=input.dtype, device=input.device)
        if not batched:
            hx = tuple(h.unsqueeze(0) for h in hx) if isinstance(hx, tuple) else hx.unsqueeze(0)
        return batched, input, hx

    def extra_repr(self):
        s = "%s, %s" % (self.input_size, self.hidden_size)
        if self.bias is not True:
            s += ", bias=%s" % self.bias
        if getattr(self, "nonlinearity", "tanh") != "tanh":
            s += ", nonlinearity=%s" % self.nonlinearity
        return s


class RNNCell(RNNCellBase):
    __constants__ = ["input_size", "hidden_size", "bias", "nonlinearity"]

    def __init__(self, input_size, hidden_size, bias=True, nonlinearity="tanh", device=None, dtype=None):
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input, hx=None):
        batched, input, hx = self._begin(input, hx)
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError("Unknown nonlinearity: %s" % self.nonlinearity)
        x, h = self._gates(input, hx)
        out = (x + h).tanh() if self.nonlinearity == "tanh" else (x + h).relu()
        return out if batched else out.squeeze(0)


class LSTMCell(RNNCellBase):
    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None):
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input, hx=None):
        batched, input, hx = self._begin(input, None if hx is None else tuple(hx))
        if not isinstance(hx, tuple):
            hx = (hx, hx)
        x, h = self._gates(input, hx[0])
        h, c = _r.lstm_cell(x + h, hx)
        return (h, c) if batched else (h.squeeze(0), c.squeeze(0))


class GRUCell(RNNCellBase):
    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None):
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input, hx=None):
        batched, input, hx = self._begin(input, hx)
        x, h = self._gates(input, hx)
        out = _r.gru_cell(x, h, hx)
        return out if batched else out.squeeze(0)
