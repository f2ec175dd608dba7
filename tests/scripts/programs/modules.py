"""Every module of torch.nn that has numbers: a line with sums of its output, of the gradients, and its printed form. Runs under any torch."""
import torch
import torch.nn as nn


def total(value):
    """Weighted sums over all tensors in a nest, so that order and shape count."""
    if isinstance(value, torch.Tensor):
        if not value.is_floating_point():
            value = value.double()
        weights = torch.linspace(1, 2, max(value.numel(), 1), dtype=value.dtype)[: value.numel()].reshape(value.shape)
        return (value * weights).sum()
    if hasattr(value, "data") and hasattr(value, "batch_sizes"):
        return total(value.data)
    return sum(total(v) for v in value if v is not None)


def show(name, make, *inputs, train=True, loss=None):
    torch.manual_seed(5)
    try:
        module = make()
        module.train(train)
        made = [torch.randn(i, dtype=torch.float64).float() if isinstance(i, tuple) else i for i in inputs]
        leaves = [t.requires_grad_() for i, t in zip(inputs, made) if isinstance(i, tuple)]
        out = module(*made)
        value = total(out) if loss is None else loss(out)
        grads = ""
        if value.requires_grad:
            value.backward()
            grads = " ".join("%.4f" % total(t.grad).item() for t in leaves + list(module.parameters()) if t.grad is not None)
        state = " ".join("%s%s" % (k, tuple(v.shape)) for k, v in module.state_dict().items())
        print("%s | %.4f | %s | %s | %s" % (name, value.item(), grads, state, repr(module).replace("\n", " ")))
    except Exception as error:
        print("%s | %s %s" % (name, type(error).__name__, str(error).split("\n")[0][:160]))


x = (4, 6)
image, line, volume = (2, 4, 8, 8), (2, 4, 9), (2, 4, 4, 4, 4)
show("Linear", lambda: nn.Linear(6, 3), x)
show("Linear no bias", lambda: nn.Linear(6, 3, bias=False), (2, 3, 6))
show("Bilinear", lambda: nn.Bilinear(6, 5, 3), x, (4, 5))
show("Identity", nn.Identity, x)
for name in ("ReLU ReLU6 ELU SELU CELU GELU SiLU Mish Sigmoid Tanh LogSigmoid Softplus Softsign Tanhshrink Softshrink Hardshrink Hardtanh Hardsigmoid "
             "Hardswish LeakyReLU PReLU").split():
    show(name, getattr(nn, name), x)
show("GELU tanh", lambda: nn.GELU("tanh"), x)
show("Threshold", lambda: nn.Threshold(0.1, 20.0), x)
show("PReLU many", lambda: nn.PReLU(4), image)
show("RReLU eval", nn.RReLU, x, train=False)
show("GLU", nn.GLU, x)
show("Softmax", lambda: nn.Softmax(1), x)
show("Softmin", lambda: nn.Softmin(1), x)
show("LogSoftmax", lambda: nn.LogSoftmax(1), x)
show("Softmax2d", nn.Softmax2d, image)
for kw in ({}, {"padding": 1, "stride": 2}, {"groups": 2}, {"dilation": 2, "bias": False}, {"padding": "same"}, {"padding": 1, "padding_mode": "reflect"}, {"padding": 1, "padding_mode": "circular"}):
    show("Conv2d %s" % kw, lambda: nn.Conv2d(4, 6, 3, **kw), image)
    show("Conv1d %s" % kw, lambda: nn.Conv1d(4, 6, 3, **kw), line)
show("ConvTranspose2d", lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1), image)
show("ConvTranspose2d groups", lambda: nn.ConvTranspose2d(4, 6, 4, groups=2), image)
show("ConvTranspose1d", lambda: nn.ConvTranspose1d(4, 6, 3, stride=2), line)
show("Conv3d", lambda: nn.Conv3d(4, 6, 3), volume)
show("MaxPool2d", lambda: nn.MaxPool2d(2), image)
show("MaxPool2d more", lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True), image)
show("MaxPool2d indices", lambda: nn.MaxPool2d(2, return_indices=True), image)
show("MaxPool1d", lambda: nn.MaxPool1d(3), line)
show("MaxPool3d", lambda: nn.MaxPool3d(2), volume)
show("AvgPool2d", lambda: nn.AvgPool2d(3, 2, 1), image)
show("AvgPool2d no pad", lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), image)
show("AvgPool1d", lambda: nn.AvgPool1d(3), line)
show("AvgPool3d", lambda: nn.AvgPool3d(2), volume)
show("LPPool2d", lambda: nn.LPPool2d(2, 3), image)
show("AdaptiveAvgPool2d", lambda: nn.AdaptiveAvgPool2d((3, 5)), image)
show("AdaptiveAvgPool2d None", lambda: nn.AdaptiveAvgPool2d((None, 1)), image)
show("AdaptiveAvgPool1d", lambda: nn.AdaptiveAvgPool1d(4), line)
show("AdaptiveAvgPool3d", lambda: nn.AdaptiveAvgPool3d(2), volume)
show("AdaptiveMaxPool2d", lambda: nn.AdaptiveMaxPool2d(4), image)
show("AdaptiveMaxPool2d uneven", lambda: nn.AdaptiveMaxPool2d((3, 5)), image)
show("AdaptiveMaxPool1d", lambda: nn.AdaptiveMaxPool1d(3), line)
show("MaxUnpool2d", lambda: nn.MaxUnpool2d(2), (1, 1, 2, 2), torch.tensor([[[[0, 3], [8, 15]]]]))
for train in (True, False):
    show("BatchNorm1d %s" % train, lambda: nn.BatchNorm1d(6), x, train=train)
    show("BatchNorm2d %s" % train, lambda: nn.BatchNorm2d(4), image, train=train)
    show("InstanceNorm2d %s" % train, lambda: nn.InstanceNorm2d(4, affine=True, track_running_stats=True), image, train=train)
show("BatchNorm2d plain", lambda: nn.BatchNorm2d(4, affine=False, track_running_stats=False, momentum=None), image)
show("BatchNorm3d", lambda: nn.BatchNorm3d(4), volume)
show("LayerNorm", lambda: nn.LayerNorm(6), x)
show("LayerNorm two", lambda: nn.LayerNorm((8, 8), elementwise_affine=False), image)
show("RMSNorm", lambda: nn.RMSNorm(6), x)
show("GroupNorm", lambda: nn.GroupNorm(2, 4), image)
show("LocalResponseNorm", lambda: nn.LocalResponseNorm(2), image)
show("CrossMapLRN2d", lambda: nn.CrossMapLRN2d(3), image)
show("Embedding", lambda: nn.Embedding(9, 4, padding_idx=1), torch.tensor([[0, 1], [8, 3]]))
show("Embedding max_norm", lambda: nn.Embedding(9, 4, max_norm=1.0), torch.tensor([[0, 1], [8, 3]]))
for mode in ("sum", "mean", "max"):
    show("EmbeddingBag %s" % mode, lambda: nn.EmbeddingBag(9, 4, mode=mode), torch.tensor([0, 1, 8, 3, 3]), torch.tensor([0, 2]))
show("Dropout eval", nn.Dropout, x, train=False)
show("Flatten", nn.Flatten, image)
show("Unflatten", lambda: nn.Unflatten(1, (2, 3)), x)
show("Unfold", lambda: nn.Unfold(3, padding=1, stride=2), image)
show("Fold", lambda: nn.Fold((5, 5), 2), (2, 12, 16))
show("PixelShuffle", lambda: nn.PixelShuffle(2), image)
show("PixelUnshuffle", lambda: nn.PixelUnshuffle(2), image)
show("ChannelShuffle", lambda: nn.ChannelShuffle(2), image)
for mode in ("nearest", "bilinear", "area"):
    show("Upsample %s" % mode, lambda: nn.Upsample(scale_factor=2, mode=mode), image)
show("Upsample size", lambda: nn.Upsample(size=(5, 11), mode="bilinear", align_corners=True), image)
show("UpsamplingNearest2d", lambda: nn.UpsamplingNearest2d(scale_factor=2), image)
for name in ("ReflectionPad2d", "ReplicationPad2d", "ZeroPad2d", "CircularPad2d"):
    show(name, lambda: getattr(nn, name)((1, 2, 0, 1)), image)
show("ConstantPad1d", lambda: nn.ConstantPad1d(2, 3.5), line)
show("CosineSimilarity", nn.CosineSimilarity, x, x)
show("PairwiseDistance", nn.PairwiseDistance, x, x)

target, binary = torch.tensor([0, 5, 2, 1]), torch.tensor([[1.0, 0, 1, 0, 0, 1]] * 4)
for reduction in ("mean", "sum", "none"):
    r = {"reduction": reduction}
    show("CrossEntropyLoss " + reduction, lambda: nn.CrossEntropyLoss(torch.linspace(0.5, 2, 6), ignore_index=2, label_smoothing=0.1, **r), x, target)
    show("MSELoss " + reduction, lambda: nn.MSELoss(**r), x, binary)
    show("L1Loss " + reduction, lambda: nn.L1Loss(**r), x, binary)
    show("SmoothL1Loss " + reduction, lambda: nn.SmoothL1Loss(beta=0.5, **r), x, binary)
    show("HuberLoss " + reduction, lambda: nn.HuberLoss(delta=0.7, **r), x, binary)
    show("BCEWithLogitsLoss " + reduction, lambda: nn.BCEWithLogitsLoss(pos_weight=torch.linspace(0.5, 2, 6), **r), x, binary)
    show("KLDivLoss " + reduction, lambda: nn.KLDivLoss(**r), x, binary.softmax(1))
    show("PoissonNLLLoss " + reduction, lambda: nn.PoissonNLLLoss(**r), x, binary)
    show("SoftMarginLoss " + reduction, lambda: nn.SoftMarginLoss(**r), x, binary * 2 - 1)
    show("MultiLabelSoftMarginLoss " + reduction, lambda: nn.MultiLabelSoftMarginLoss(**r), x, binary)
    show("MultiMarginLoss " + reduction, lambda: nn.MultiMarginLoss(**r), x, target)
    show("HingeEmbeddingLoss " + reduction, lambda: nn.HingeEmbeddingLoss(**r), x, binary * 2 - 1)
    show("CosineEmbeddingLoss " + reduction, lambda: nn.CosineEmbeddingLoss(**r), x, x, torch.tensor([1, -1, 1, -1]))
    show("MarginRankingLoss " + reduction, lambda: nn.MarginRankingLoss(0.3, **r), (4,), (4,), torch.tensor([1, -1, 1, -1]))
    show("TripletMarginLoss " + reduction, lambda: nn.TripletMarginLoss(**r), x, x, x)
    show("GaussianNLLLoss " + reduction, lambda: nn.GaussianNLLLoss(**r), x, binary, torch.full((4, 6), 0.7))
    show("NLLLoss " + reduction, lambda: nn.NLLLoss(**r), (4, 6, 2), torch.tensor([[0, 5], [2, 1], [3, 3], [4, 0]]))
show("BCELoss", nn.BCELoss, torch.linspace(0.1, 0.9, 24).reshape(4, 6), binary)
show("CrossEntropyLoss soft", nn.CrossEntropyLoss, x, binary / 3)

for name in ("RNN", "LSTM", "GRU"):
    for kw in ({}, {"num_layers": 2, "bidirectional": True}, {"batch_first": True, "bias": False}):
        show("%s %s" % (name, kw), lambda: getattr(nn, name)(6, 5, **kw), (7, 3, 6))
    show(name + "Cell", lambda: getattr(nn, name + "Cell")(6, 5), x)
show("RNN relu", lambda: nn.RNN(6, 5, nonlinearity="relu"), (7, 3, 6))
show("LSTM proj", lambda: nn.LSTM(6, 5, proj_size=3), (7, 3, 6))
show("LSTM unbatched", lambda: nn.LSTM(6, 5), (7, 6))


class Packed(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(6, 5, bidirectional=True)

    def forward(self, x):
        packed = nn.utils.rnn.pack_padded_sequence(x, [7, 5, 2])
        out, (h, c) = self.rnn(packed)
        return nn.utils.rnn.pad_packed_sequence(out)[0], h, c


show("LSTM packed", Packed, (7, 3, 6))
show("MultiheadAttention", lambda: nn.MultiheadAttention(6, 2), (5, 3, 6), (4, 3, 6), (4, 3, 6))
show("MultiheadAttention kdim", lambda: nn.MultiheadAttention(6, 2, kdim=4, vdim=8, batch_first=True, add_bias_kv=True), (3, 5, 6), (3, 4, 4), (3, 4, 8))
show("TransformerEncoderLayer", lambda: nn.TransformerEncoderLayer(6, 2, 12, dropout=0.0), (5, 3, 6))
show("TransformerEncoderLayer first", lambda: nn.TransformerEncoderLayer(6, 2, 12, 0.0, "gelu", batch_first=True, norm_first=True), (3, 5, 6))
show("TransformerDecoderLayer", lambda: nn.TransformerDecoderLayer(6, 2, 12, dropout=0.0), (5, 3, 6), (4, 3, 6))
show("TransformerEncoder", lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 12, dropout=0.0), 2, nn.LayerNorm(6)), (5, 3, 6))
show("Transformer", lambda: nn.Transformer(6, 2, 1, 1, 12, dropout=0.0), (5, 3, 6), (4, 3, 6))
show("Sequential", lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), nn.Dropout(0.0)), x)
show("weight_norm", lambda: nn.utils.weight_norm(nn.Linear(6, 3)), x)
show("LazyLinear", lambda: nn.LazyLinear(3), x)
show("LazyConv2d", lambda: nn.LazyConv2d(3, 3), image)
show("LazyBatchNorm2d", lambda: nn.LazyBatchNorm2d(), image)

for name in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "ASGD", "Rprop"):
    torch.manual_seed(5)
    net = nn.Linear(6, 3)
    kw = {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1} if name == "SGD" else {"weight_decay": 0.1} if name not in ("Rprop",) else {}
    optimizer = getattr(torch.optim, name)(net.parameters(), lr=0.01, **kw)
    data = torch.randn(4, 6, dtype=torch.float64).float()
    for _ in range(5):
        optimizer.zero_grad()
        net(data).square().mean().backward()
        optimizer.step()
    print("optim %s | %.4f | %s" % (name, total(list(net.parameters())).item(), sorted(optimizer.state_dict()["param_groups"][0])))
