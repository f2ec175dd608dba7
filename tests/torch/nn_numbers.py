"""Prints tests/unit/nn_numbers.h: two networks of torch.nn.Sequential, their first values, three steps of SGD and what they
give in evaluation afterwards. Writes tests/golden/nn_image.pt and nn_image.safetensors, the first one's state_dict, too.

    python tests/torch/nn_numbers.py > tests/unit/nn_numbers.h
"""
import math
import os

import safetensors.torch
import torch
from torch import nn

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden")


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def image():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=(1, 2), dilation=1, groups=3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2, 1, 1),
        nn.Sequential(nn.Conv2d(6, 4, (1, 2), bias=False), nn.GroupNorm(2, 4), nn.SiLU()),
        nn.AvgPool2d(2),
        nn.BatchNorm2d(4, eps=1e-3, momentum=None, affine=False),
        nn.AdaptiveAvgPool2d((2, 1)),
        nn.Flatten(),
        nn.Linear(8, 3),
    )


def sequence():
    return nn.Sequential(
        nn.Embedding(7, 6, padding_idx=2),
        nn.LayerNorm(6),
        nn.Linear(6, 5, bias=False),
        nn.RMSNorm(5),
        Function(lambda x: x.transpose(1, 2)),
        nn.Conv1d(5, 4, 3, padding=2, dilation=2),
        nn.BatchNorm1d(4),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(20, 3),
        nn.BatchNorm1d(3, track_running_stats=False),
    )


def images(step):
    return torch.tensor([math.sin(0.37 * (i + 1) + step) for i in range(4 * 3 * 7 * 6)], dtype=torch.float32).reshape(4, 3, 7, 6)


def words(step):
    return torch.tensor([(i * i + 3 * i + step) % 7 for i in range(4 * 5)]).reshape(4, 5)


def literal(x):
    text = "%.9g" % x
    return text + ("f" if "." in text or "e" in text else ".0f")


def numbers(name, values):
    print("static const float %s[] = {" % name)
    for i in range(0, len(values), 8):
        print("    " + ", ".join(literal(v) for v in values[i:i + 8]) + ",")
    print("};")


def everything(net):
    return [x for t in net.state_dict().values() for x in t.flatten().tolist()]


def main():
    print("/* Made by tests/torch/nn_numbers.py with PyTorch %s. Values of a net: its state_dict, all in one. */" % torch.__version__)
    for net_name, make, inputs in (("image", image, images), ("sequence", sequence, words)):
        torch.manual_seed(11)
        net = make()
        print("static const char *const %s_names[] = {" % net_name)
        for name in net.state_dict():
            print('    "%s",' % name)
        print("};")
        numbers(net_name + "_first", everything(net))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        target, losses = torch.tensor([0, 1, 2, 1]), []
        for step in range(3):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(inputs(step)), target)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        numbers(net_name + "_losses", losses)
        numbers(net_name + "_trained", everything(net))
        if net_name == "image":
            torch.save(net.state_dict(), os.path.join(GOLDEN, "nn_image.pt"))
            safetensors.torch.save_file(net.state_dict(), os.path.join(GOLDEN, "nn_image.safetensors"))
        net.eval()
        numbers(net_name + "_evaluated", net(inputs(3)).flatten().tolist())


main()
