"""Every module against PyTorch's: text, initial values from the seed, outputs, gradients, buffers, random streams."""
import unittest
import warnings

from both import LIBRARIES, T, close, flat, main, numbers

warnings.simplefilter("ignore")
img, vec, seq, line = T(2, 4, 8, 8), T(2, 4), T(5, 3, 4), T(2, 4, 9)
rows = T(6, 4)  # batch norm over two rows gives +-1 whatever they are: its gradient is rounding alone
pair = [T(3, 4), T(3, 4)]
labels = T(data=[1, 0, 3])


def case(name, *inputs, **kwargs):
    args = kwargs.pop("args", ())
    tensors = kwargs.pop("tensors", {})
    return name, args, kwargs, tensors, list(inputs)


CASES = [
    case("Linear", vec, args=(4, 3)), case("Bilinear", vec, T(2, 4), args=(4, 4, 3)), case("Identity", vec),
    case("Conv2d", img, args=(4, 6, 3), padding=1, stride=2, groups=2), case("Conv2d", img, args=(4, 6, 3), padding="same"),
    case("Conv2d", img, args=(4, 6, 3), padding=1, padding_mode="reflect", dilation=2), case("Conv1d", line, args=(4, 6, 3), padding=1, bias=False),
    case("BatchNorm2d", img, args=(4,)), case("BatchNorm1d", rows, args=(4,)), case("BatchNorm2d", img, args=(4,), momentum=None),
    case("BatchNorm2d", img, args=(4,), affine=False, track_running_stats=False), case("LayerNorm", vec, args=(4,)),
    case("LayerNorm", vec, args=((4,),), bias=False), case("RMSNorm", vec, args=(4,)), case("GroupNorm", img, args=(2, 4)),
    case("InstanceNorm2d", img, args=(4,), affine=True), case("InstanceNorm2d", img, args=(4,), track_running_stats=True),
    case("LocalResponseNorm", img, args=(3,)),
    case("Embedding", T(data=[[1, 2], [3, 9]]), args=(10, 3), padding_idx=2), case("EmbeddingBag", T(data=[[1, 2], [3, 9]]), args=(10, 3)),
    case("EmbeddingBag", T(data=[1, 2, 3, 9]), T(data=[0, 1]), args=(10, 3), mode="sum"),
    case("MaxPool2d", img, args=(2,)), case("MaxPool1d", line, args=(3, 2, 1)), case("MaxPool2d", img, args=(3,), stride=2, padding=1, ceil_mode=True),
    case("MaxPool2d", img, args=(2,), return_indices=True), case("AvgPool2d", img, args=(3, 2, 1), count_include_pad=False),
    case("AvgPool1d", line, args=(3,)), case("AdaptiveAvgPool2d", img, args=((3, None),)), case("AdaptiveAvgPool1d", line, args=(3,)),
    case("Upsample", img, scale_factor=2), case("PixelShuffle", img, args=(2,)), case("PixelUnshuffle", img, args=(2,)),
    case("Unfold", img, args=(3,), padding=1, stride=2), case("ReflectionPad2d", img, args=(2,)), case("ZeroPad2d", img, args=((1, 2, 3, 0),)),
    case("ConstantPad1d", line, args=(2, 3.5)), case("CircularPad2d", img, args=(1,)), case("ReplicationPad2d", img, args=(1,)),
    case("Flatten", img), case("Unflatten", img, args=(1, (2, 2))), case("CosineSimilarity", vec, T(2, 4)), case("PairwiseDistance", vec, T(2, 4)),
    case("Dropout", img, args=(0.3,)), case("Dropout2d", img, args=(0.3,)), case("Dropout1d", line, args=(0.3,)), case("AlphaDropout", img, args=(0.3,)),
    *[case(n, img) for n in ("ReLU Hardtanh ReLU6 Sigmoid Hardsigmoid Tanh SiLU Mish Hardswish ELU CELU SELU GLU GELU Hardshrink LeakyReLU LogSigmoid "
                             "Softplus Softshrink PReLU Softsign Tanhshrink Softmax2d").split()],
    case("GELU", img, approximate="tanh"), case("Softmax", img, dim=1), case("Softmin", img, dim=1), case("LogSoftmax", img, dim=1),
    case("Threshold", img, args=(0.1, 20)), *[case(n, *pair) for n in "MSELoss L1Loss SmoothL1Loss HuberLoss".split()],
    case("BCEWithLogitsLoss", T(3, 4), T(3, 4, kind="rand"), tensors={"pos_weight": [1.0, 2, 3, 4]}),
    case("BCELoss", T(3, 4, kind="rand"), T(3, 4, kind="rand", grad=False)),
    case("CrossEntropyLoss", T(3, 4), labels, label_smoothing=0.1, tensors={"weight": [1.0, 2, 3, 4]}),
    case("CrossEntropyLoss", T(3, 4, 2), T(data=[[1, 0], [3, 2], [-100, 1]])), case("CrossEntropyLoss", T(3, 4), T(3, 4, kind="rand")),
    case("NLLLoss", T(3, 4), labels, ignore_index=0, reduction="sum"), case("KLDivLoss", T(3, 4), T(3, 4, kind="rand"), reduction="batchmean"),
    case("PoissonNLLLoss", T(3, 4), T(3, 4, kind="rand")), case("GaussianNLLLoss", T(3, 4), T(3, 4), T(3, 4, kind="rand")),
    case("HingeEmbeddingLoss", T(3, 4), T(data=[[1.0, -1, 1, -1]] * 3, grad=False)), case("MarginRankingLoss", T(3), T(3), T(data=[1.0, -1, 1], grad=False)),
    case("SoftMarginLoss", T(3), T(data=[1.0, -1, 1], grad=False)), case("MultiLabelSoftMarginLoss", T(3, 4), T(3, 4, kind="rand", grad=False)),
    case("CosineEmbeddingLoss", *pair, T(data=[1, -1, 1]), args=(0.1,)), case("TripletMarginLoss", *pair, T(3, 4), swap=True),
    case("MultiMarginLoss", T(3, 4), labels),
    case("RNN", seq, args=(4, 5, 2)), case("RNN", seq, args=(4, 5, 2), nonlinearity="relu"),
    case("LSTM", seq, args=(4, 5, 2), bidirectional=True, dropout=0.5), case("LSTM", seq, args=(4, 5), batch_first=True),
    case("LSTM", seq, args=(4, 5), proj_size=3, num_layers=2), case("GRU", seq, args=(4, 5, 2), bidirectional=True, bias=False),
    case("GRU", T(5, 4), args=(4, 5)), case("GRU", seq, T(1, 3, 5), args=(4, 5)), case("RNNCell", vec, args=(4, 5)), case("LSTMCell", vec, args=(4, 5)),
    case("GRUCell", vec, T(2, 5), args=(4, 5)), case("GRUCell", T(4), args=(4, 5)),
    case("MultiheadAttention", seq, seq, seq, args=(4, 2)),
    case("MultiheadAttention", seq, seq, seq, args=(4, 2), dropout=0.3, batch_first=True, add_bias_kv=True, add_zero_attn=True),
    case("MultiheadAttention", seq, T(6, 3, 3), T(6, 3, 3), args=(4, 2), kdim=3, vdim=3),
    case("TransformerEncoderLayer", seq, args=(4, 2, 8, 0.0)),
    case("TransformerEncoderLayer", seq, args=(4, 2, 8, 0.1, "gelu"), norm_first=True, batch_first=True),
    case("Transformer", seq, T(6, 3, 4), args=(4, 2, 2, 2, 8, 0.0)),
]


def run(lib, name, args, kwargs, tensors, inputs, train=True):
    lib.manual_seed(3)
    kwargs = dict(kwargs, **{k: lib.tensor(v) for k, v in tensors.items()})
    module = getattr(lib.nn, name)(*args, **kwargs).train(train)
    start = [(k, numbers(v)) for k, v in module.state_dict().items()]
    given = [t.make(lib, i) for i, t in enumerate(inputs)]
    lib.manual_seed(4)
    outs = flat(lib, module(*given))
    loss = 0
    for o in outs:
        if o.requires_grad:
            weights = lib.tensor([float((k * 7919) % 13 - 6) for k in range(o.numel())]).reshape(o.shape)
            loss = loss + (o * weights).sum()
    if outs and any(o.requires_grad for o in outs):
        loss.backward()
    return dict(text=repr(module), names=[n for n, _ in module.named_parameters()], start=start, outputs=[numbers(o) for o in outs],
                parameters=[numbers(p.grad) for p in module.parameters()], inputs=[numbers(t.grad) for t in given],
                end=[numbers(v) for v in module.state_dict().values()], after=float(lib.rand(1)))


class Modules(unittest.TestCase):
    pass


def _add(index, name, args, kwargs, tensors, inputs):
    def test(self):
        for train in (True, False):
            ours, theirs = (run(lib, name, args, kwargs, tensors, inputs, train) for lib in LIBRARIES)
            self.assertEqual(ours["text"], theirs["text"])
            self.assertEqual(ours["names"], theirs["names"])
            self.assertEqual([k for k, _ in ours["start"]], [k for k, _ in theirs["start"]])
            for (k, a), (_, b) in zip(ours["start"], theirs["start"]):
                self.assertIsNone(close(a, b, 1e-6, 1e-7), "initial %s" % k)
            for what in ("outputs", "parameters", "inputs", "end"):
                self.assertEqual(len(ours[what]), len(theirs[what]), what)
                for i, (a, b) in enumerate(zip(ours[what], theirs[what])):
                    self.assertIsNone(close(a, b), "%s %d, train=%s" % (what, i, train))
            self.assertEqual(ours["after"], theirs["after"], "the next random number")

    test.__name__ = "test_%s_%d" % (name, index)
    setattr(Modules, test.__name__, test)


for _i, _case in enumerate(CASES):
    _add(_i, *_case)

if __name__ == "__main__":
    main()
