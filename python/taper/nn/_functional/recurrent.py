"""Recurrent layers as loops over time. Shapes: T time, B batch, I input, H hidden, G gates (4H for LSTM, 3H for GRU, H for RNN)."""
from ... import _C
from .activation import dropout

_ops = _C.ops
_linear = _ops.linear


def lstm_cell(gates, hidden, w_hr=None):
    """gates (B, 4H) already summed; hidden (h, c)."""
    i, f, g, o = gates.chunk(4, 1)
    c = f.sigmoid() * hidden[1] + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    if w_hr is not None:
        h = _linear(h, w_hr)
    return h, c


def gru_cell(from_x, from_h, h):
    r_x, z_x, n_x = from_x.chunk(3, 1)
    r_h, z_h, n_h = from_h.chunk(3, 1)
    r, z = (r_x + r_h).sigmoid(), (z_x + z_h).sigmoid()
    n = (n_x + r * n_h).tanh()
    return (h - n) * z + n


def _step(mode, x, hidden, w_hh, b_hh, w_hr):
    """One step: x (B, G) is the input's share of the gates; hidden is a tuple (h,) or (h, c)."""
    from_h = _linear(hidden[0], w_hh, b_hh)
    if mode == "LSTM":
        return lstm_cell(x + from_h, hidden, w_hr)
    if mode == "GRU":
        return (gru_cell(x, from_h, hidden[0]),)
    return ((x + from_h).tanh() if mode == "RNN_TANH" else (x + from_h).relu(),)


def _direction(mode, x, hidden, weights, reverse):
    """x (T, B, I) -> outputs (T, B, H), last hidden."""
    w_ih, w_hh, b_ih, b_hh, w_hr = weights
    gates = _linear(x, w_ih, b_ih).unbind(0)
    outputs = []
    for g in reversed(gates) if reverse else gates:
        hidden = _step(mode, g, hidden, w_hh, b_hh, w_hr)
        outputs.append(hidden[0])
    if reverse:
        outputs.reverse()
    return _ops.stack(outputs), hidden


def _direction_packed(mode, data, batch_sizes, hidden, weights, reverse):
    """data (sum of batch_sizes, I): sequences sorted by length, longest first; a sequence that ends keeps its hidden state."""
    w_ih, w_hh, b_ih, b_hh, w_hr = weights
    steps = _linear(data, w_ih, b_ih).split(batch_sizes)
    outputs = []
    if reverse:
        initial, hidden = hidden, tuple(h[: batch_sizes[-1]] for h in hidden)
        n = batch_sizes[-1]
        for g in reversed(steps):
            if g.shape[0] > n:  # sequences that start (from their end) at this step
                hidden = tuple(_ops.cat([h, i[n : g.shape[0]]]) for h, i in zip(hidden, initial))
                n = g.shape[0]
            hidden = _step(mode, g, hidden, w_hh, b_hh, w_hr)
            outputs.append(hidden[0])
        outputs.reverse()
        return _ops.cat(outputs), hidden
    ended = []
    for g in steps:
        n = g.shape[0]
        if n < hidden[0].shape[0]:
            ended.append(tuple(h[n:] for h in hidden))
            hidden = tuple(h[:n] for h in hidden)
        hidden = _step(mode, g, hidden, w_hh, b_hh, w_hr)
        outputs.append(hidden[0])
    if ended:
        ended.append(hidden)
        ended.reverse()
        hidden = tuple(_ops.cat([e[k] for e in ended]) for k in range(len(hidden)))
    return _ops.cat(outputs), hidden


def run_layers(mode, x, batch_sizes, hidden, weights, num_layers, directions, p, training):
    """x (T, B, I), or packed data with batch_sizes; hidden: tuple of (layers * directions, B, H); weights: one
    (w_ih, w_hh, b_ih, b_hh, w_hr) for each layer and direction. Gives outputs and the last hidden tuple."""
    last = []
    for layer in range(num_layers):
        parts = []
        for d in range(directions):
            k = layer * directions + d
            start = tuple(h[k] for h in hidden)
            if batch_sizes is None:
                out, end = _direction(mode, x, start, weights[k], d == 1)
            else:
                out, end = _direction_packed(mode, x, batch_sizes, start, weights[k], d == 1)
            parts.append(out)
            last.append(end)
        x = parts[0] if directions == 1 else _ops.cat(parts, -1)
        if p > 0 and training and layer < num_layers - 1:
            x = dropout(x, p, True)
    return x, tuple(_ops.stack([e[k] for e in last]) for k in range(len(last[0])))
