#!/usr/bin/env python3
"""Writes the golden files of this folder: tiny networks of other frameworks, what they answer, and what one training step makes of them.

Each network is built of the framework's own modules, with random parameters and random running statistics, and is computed in double
precision, so that what is written is exact to the last digit of `f32`. Besides `images.safetensors` (pictures and labels, the same for all)
a network has three files: see README.md.

    pip install torch==2.15.0 torchvision==0.29.2 timm==1.0.31 transformers==5.24.0 safetensors==0.8.0
    python tests/golden/make.py

The files are the same again where the versions are; with others they may differ in the last digits, which is said.
"""

import sys
from functools import partial
from pathlib import Path

import safetensors.torch
import timm
import torch
import torchvision
import transformers
from timm.layers import BatchNormAct2d, BlurPool2d, EcaModule, GroupNorm, SEModule, create_conv2d
from torch import nn
from torch.nn import functional
from torchvision.models import resnet as tv

FOLDER = Path(__file__).resolve().parent
VERSIONS = {torch: "2.15.0", torchvision: "0.29.2", timm: "1.0.31", transformers: "5.24.0"}
IMAGES, SIDE, CLASSES = 4, 16, 5
RATE, MOMENTUM, DECAY = 0.1, 0.9, 1e-4


class TorchvisionTiny(tv.ResNet):
    """torchvision's ResNet with its own blocks and layers, but few channels and two stages."""

    def __init__(self, block, stem, channels, groups=1, width_per_group=64):
        nn.Module.__init__(self)
        self._norm_layer, self.inplanes, self.dilation = nn.BatchNorm2d, stem, 1
        self.groups, self.base_width = groups, width_per_group
        self.conv1 = nn.Conv2d(3, stem, 7, stride=2, padding=3, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(stem), nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, channels[0], 1)
        self.layer2 = self._make_layer(block, channels[1], 1, stride=2)
        self.layer3, self.layer4 = nn.Identity(), nn.Identity()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels[1] * block.expansion, CLASSES)


def timm_tiny(block, channels, **options):
    """timm's ResNet with a deep stem of 4, 4 and 8 channels and two stages."""
    network = timm.models.resnet.ResNet(
        block, (1, 1), num_classes=CLASSES, stem_width=4, stem_type="deep", channels=channels, **options
    )
    network.layer3, network.layer4 = nn.Identity(), nn.Identity()
    return network


class OptionA(nn.Module):
    """A basic unit of He et al. 2015, section 4.2, by the names of akamaster's pytorch_resnet_cifar10: no tensors on the shortcut."""

    def __init__(self, before, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride, self.missing = stride, channels - before

    def forward(self, x):
        main = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        before, behind = self.missing // 2, self.missing - self.missing // 2
        shortcut = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, behind))
        return functional.relu(main + shortcut)


class Cifar(nn.Module):
    """A CIFAR network of two stages of one unit."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.layer1, self.layer2 = nn.Sequential(OptionA(6, 6, 1)), nn.Sequential(OptionA(6, 12, 2))
        self.linear = nn.Linear(12, CLASSES)

    def forward(self, x):
        x = self.layer2(self.layer1(functional.relu(self.bn1(self.conv1(x)))))
        return self.linear(x.mean((2, 3)))


class Wrapped(nn.Module):
    """As DataParallel wraps a network: `module.` before every name."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return self.module(x)


def preactivation():
    """As timm's resnetv2_50 is made."""
    return timm.models.resnetv2.ResNetV2(
        (1, 1), channels=(16, 24), num_classes=CLASSES, stem_chs=8, conv_layer=create_conv2d, norm_layer=BatchNormAct2d
    )


def dense():
    return torchvision.models.DenseNet(growth_rate=4, block_config=(1, 2), num_init_features=8, num_classes=CLASSES)


def hugging_face():
    sizes = dict(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])
    config = transformers.ResNetConfig(layer_type="bottleneck", downsample_in_bottleneck=True, num_labels=CLASSES, **sizes)
    return transformers.ResNetForImageClassification(config)


BASIC, BOTTLENECK = timm.models.resnet.BasicBlock, timm.models.resnet.Bottleneck
NETWORKS = {
    "basic": lambda: TorchvisionTiny(tv.BasicBlock, 5, (5, 8)),
    "bottleneck": lambda: TorchvisionTiny(tv.Bottleneck, 6, (3, 5)),
    # Groups of 1 and of 2 channels.
    "grouped": lambda: TorchvisionTiny(tv.Bottleneck, 8, (2, 4), groups=4, width_per_group=32),
    "deep_stem": lambda: timm_tiny(BASIC, (8, 8)),
    "average_down": lambda: timm_tiny(BOTTLENECK, (2, 4), avg_down=True),
    "se": lambda: timm_tiny(BOTTLENECK, (2, 4), block_args=dict(attn_layer=SEModule)),
    "eca": lambda: timm_tiny(BOTTLENECK, (3, 5), block_args=dict(attn_layer=EcaModule)),
    "blur": lambda: timm_tiny(BOTTLENECK, (2, 4), aa_layer=BlurPool2d),
    "group_norm": lambda: timm_tiny(BASIC, (8, 8), norm_layer=partial(GroupNorm, num_groups=4)),
    "preactivation": preactivation,
    "dense": dense,
    "option_a": lambda: Wrapped(Cifar()),
    "transformers_v1": hugging_face,
}


def randomise(network, generator):
    """Values that no two channels share; running statistics too."""
    uniform = lambda tensor, low, high: tensor.uniform_(low, high, generator=generator)
    with torch.no_grad():
        for layer in network.modules():
            weight = getattr(layer, "weight", None)
            if isinstance(weight, torch.Tensor) and weight.dim() > 1:
                fan_in = weight[0].numel()
                weight.normal_(0.0, (2.0 / fan_in) ** 0.5, generator=generator)
            elif isinstance(weight, torch.Tensor):
                uniform(weight, 0.5, 1.5)
            if isinstance(getattr(layer, "bias", None), torch.Tensor):
                uniform(layer.bias, -0.3, 0.3)
            if isinstance(getattr(layer, "running_var", None), torch.Tensor):
                uniform(layer.running_mean, -0.3, 0.3)
                uniform(layer.running_var, 0.5, 1.5)


def state(network):
    """What a file has of a network: `f32`, but for counters."""
    tensors = network.state_dict().items()
    return {name: (t.float() if t.is_floating_point() else t).contiguous().clone() for name, t in tensors}


def answer(network, images):
    given = network(images)
    return getattr(given, "logits", given)


def make(name, number, images, labels, metadata):
    torch.manual_seed(number)
    network = NETWORKS[name]()
    randomise(network, torch.Generator().manual_seed(number))
    save = lambda tensors, end: safetensors.torch.save_file(tensors, FOLDER / f"{name}{end}.safetensors", metadata)
    save(state(network), "")
    network = network.double()
    with torch.no_grad():
        logits = answer(network.eval(), images)
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)
    loss = functional.cross_entropy(answer(network.train(), images), labels)
    loss.backward()
    optimizer.step()
    save(state(network), ".after")
    save({"logits": logits.float(), "loss": loss.detach().float()}, ".answer")
    print(f"{name}: {sum(p.numel() for p in network.parameters())} parameters, loss {loss.item():.4f}")


def main():
    found = {module: module.__version__.split("+")[0] for module in VERSIONS}
    if found != VERSIONS:
        print("other versions than the files in the repository:", {m.__name__: v for m, v in found.items()}, file=sys.stderr)
    metadata = {"made_by": ", ".join(f"{module.__name__} {version}" for module, version in found.items())}
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(IMAGES, 3, SIDE, SIDE, generator=generator)
    labels = torch.randint(CLASSES, (IMAGES,), generator=generator)
    safetensors.torch.save_file({"images": images, "labels": labels}, FOLDER / "images.safetensors", metadata)
    for number, name in enumerate(NETWORKS):
        make(name, number + 1, images.double(), labels, metadata)


if __name__ == "__main__":
    main()
