"""Writes the ONNX files of the import's tests: small residual networks with random weights, and what ONNX Runtime answers.

    pip install torch==2.15.0 onnx==1.23.2 onnxruntime==1.32.0
    python import/tests/models/make.py import/tests/models

Each `NAME.onnx` has `NAME.txt` beside it: the image and the logits, one number a line, the image first.
"""

import sys
import warnings

import numpy
import onnxruntime
import torch
from torch import nn
from torch.nn import functional as F

warnings.simplefilter("ignore")


def conv(inner, out, size, stride=1, bias=False):
    return nn.Conv2d(inner, out, size, stride, size // 2, bias=bias)


class Halves(nn.Module):
    """Option A: every second pixel, zeros around the channels."""

    def forward(self, x):
        extra = x.shape[1] // 2
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, extra, extra))


class Basic(nn.Module):
    def __init__(self, inner, out, stride, padded=False):
        super().__init__()
        self.main = nn.Sequential(conv(inner, out, 3, stride), nn.BatchNorm2d(out), nn.ReLU(), conv(out, out, 3), nn.BatchNorm2d(out))
        changes = stride != 1 or inner != out
        projection = nn.Sequential(conv(inner, out, 1, stride), nn.BatchNorm2d(out))
        self.side = (Halves() if padded else projection) if changes else nn.Identity()

    def forward(self, x):
        return F.relu(self.main(x) + self.side(x))


class Preact(nn.Module):
    def __init__(self, inner, out, stride):
        super().__init__()
        self.norm = nn.BatchNorm2d(inner)
        self.main = nn.Sequential(conv(inner, out, 3, stride), nn.BatchNorm2d(out), nn.ReLU(), conv(out, out, 3))
        self.side = conv(inner, out, 1, stride) if stride != 1 or inner != out else None

    def forward(self, x):
        pre = F.relu(self.norm(x))
        return self.main(pre) + (x if self.side is None else self.side(pre))


class Gated(nn.Module):
    """A bottleneck in groups with squeeze and excitation; its shortcut is pooled (ResNet-D)."""

    def __init__(self, inner, f, stride):
        super().__init__()
        out = 4 * f
        self.main = nn.Sequential(
            conv(inner, f, 1), nn.BatchNorm2d(f), nn.SiLU(),
            nn.Conv2d(f, f, 3, stride, 1, groups=2, bias=False), nn.BatchNorm2d(f), nn.SiLU(),
            conv(f, out, 1), nn.BatchNorm2d(out),
        )
        self.gate = nn.Sequential(conv(out, f, 1, bias=True), nn.ReLU(), conv(f, out, 1, bias=True), nn.Sigmoid())
        pool = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False) if stride != 1 else nn.Identity()
        self.side = nn.Sequential(pool, conv(inner, out, 1), nn.BatchNorm2d(out)) if inner != out else nn.Identity()

    def forward(self, x):
        y = self.main(x)
        return F.silu(y * self.gate(y.mean((2, 3), keepdim=True)) + self.side(x))


class Net(nn.Module):
    def __init__(self, unit, widths, wider=1, pre=False):
        super().__init__()
        self.stem = nn.Sequential(conv(3, 4, 3)) if pre else nn.Sequential(conv(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        units, inner = [], 4
        for stage, width in enumerate(widths):
            for index in range(2):
                units.append(unit(inner, width, 2 if stage and not index else 1))
                inner = width * wider
        self.units = nn.Sequential(*units)
        self.head = nn.Sequential(nn.BatchNorm2d(inner), nn.ReLU()) if pre else nn.Identity()
        self.linear = nn.Linear(inner, 5)

    def forward(self, x):
        return self.linear(F.adaptive_avg_pool2d(self.head(self.units(self.stem(x))), 1).flatten(1))


NETWORKS = {
    "basic": (lambda: Net(Basic, [4, 8]), False),
    "folded": (lambda: Net(Basic, [4, 8]), True),
    "padded": (lambda: Net(lambda i, o, s: Basic(i, o, s, padded=True), [4, 8]), True),
    "preact": (lambda: Net(Preact, [6, 8], pre=True), False),
    "gated": (lambda: Net(Gated, [2, 4], wider=4), False),
}


def main(folder):
    for name, (make, folds) in NETWORKS.items():
        torch.manual_seed(len(name))
        network = make().eval()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0, 0.1)
        image = torch.randn(1, 3, 8, 8)
        mode = torch.onnx.TrainingMode.EVAL if folds else torch.onnx.TrainingMode.PRESERVE
        path = f"{folder}/{name}.onnx"
        torch.onnx.export(network, image, path, dynamo=False, do_constant_folding=folds, training=mode)
        session = onnxruntime.InferenceSession(path)
        (logits,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
        numbers = numpy.concatenate([image.numpy().ravel(), logits.ravel()])
        with open(f"{folder}/{name}.txt", "w") as file:
            file.writelines(f"{number!r}\n" for number in numbers.tolist())


main(sys.argv[1])
