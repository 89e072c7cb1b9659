#!/usr/bin/env python3
"""Moves random weights from other frameworks into resnetc and back, network by network, and compares what the networks answer.

For every compiled-in network that torchvision, timm or transformers has too:

- the framework makes the network with random weights (parameters and running statistics of normalisations random too) and saves
  them: in turn as safetensors, as PyTorch's zip archive and in PyTorch's format before 1.6;
- `resnetc run --weights FILE --input x.npy --output y.npy` runs it on random images, finding out the dialect by itself; the logits
  are compared: the largest difference over the largest logit;
- `resnetc weights convert` writes them by resnetc's names, and from that by the framework's; the framework loads the result,
  strictly, and every tensor has to be what it was.

    pip install numpy torch torchvision timm transformers safetensors
    cargo build --release && python tests/peers/weights.py

Exit status: 0 all agree, 1 some do not, or a program failed.
"""

import re
import sys
import tempfile
from pathlib import Path

from shared import IMAGES, TOLERANCE, Failed, parser, resnetc

# This folder has modules that are called as the packages that are imported.
sys.path.pop(0)

import numpy as np
import safetensors.torch
import timm
import torch
import torchvision
import transformers


def torchvision_network(name, **options):
    return lambda: torchvision.models.get_model(name, weights=None, **options)


def timm_network(name, **options):
    return lambda: timm.create_model(name, pretrained=False, **options)


def transformers_network(depths, block, **options):
    sizes = [64, 128, 256, 512] if block == "basic" else [256, 512, 1024, 2048]

    def make():
        config = transformers.ResNetConfig(
            depths=depths, hidden_sizes=sizes, layer_type=block, num_labels=1000, **options
        )
        return transformers.ResNetForImageClassification(config)

    return make


def small_images():
    """torchvision's ResNet-18 as people change it for small images."""
    network = torchvision.models.resnet18(num_classes=10)
    network.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
    network.maxpool = torch.nn.Identity()
    return network


PREACT = 'extends: preact50\nstem: "conv7x7(64, stride=2) -> maxpool3x3(stride=2)"\nexpect: {}\n'
# timm blurs on the main branch alone.
BLUR = "extends: resnet50_blurpool\nshortcut: projection\nexpect: {}\n"
FEWER = [False, True, True]
DEPTHS = {"18": [2, 2, 2, 2], "34": [3, 4, 6, 3], "50": [3, 4, 6, 3], "101": [3, 4, 23, 3], "152": [3, 8, 36, 3]}


def networks():
    """Rows of: spec, framework, how it makes the network, the spec's text where it is not the compiled-in one."""
    same = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d"]
    same += ["resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2"]
    same += ["densenet121", "densenet161", "densenet169", "densenet201"]
    rows = [(name, "torchvision", torchvision_network(name), None) for name in same]
    rows += [
        ("resnet50_zero_init", "torchvision", torchvision_network("resnet50"), None),
        ("resnet50_dropblock", "torchvision", torchvision_network("resnet50"), None),
        ("resnet50_os16", "torchvision", torchvision_network("resnet50", replace_stride_with_dilation=[False, False, True]), None),
        ("resnet50_os8", "torchvision", torchvision_network("resnet50", replace_stride_with_dilation=FEWER), None),
        ("notebook-resnet50-cifar10", "torchvision", torchvision_network("resnet50", num_classes=10), None),
        ("cifar_resnet18", "torchvision", small_images, None),
    ]
    rows += [(name, "timm", timm_network(name), None) for name in same if name != "wide_resnet101_2"]
    own = ["resnet18d", "resnet50c", "resnet50d", "resnet50s", "resnet50t", "seresnet50", "ecaresnet50d", "resnet50_gn"]
    rows += [(name, "timm", timm_network(name), None) for name in own]
    rows += [
        ("resnet50_blurpool", "timm", timm_network("resnetblur50"), BLUR),
        ("resnet50_avgmax", "timm", timm_network("resnet50", global_pool="avgmax"), None),
        ("resnet50_os16", "timm", timm_network("resnet50", output_stride=16), None),
        ("resnet50_os8", "timm", timm_network("resnet50", output_stride=8), None),
        ("preact50", "timm", timm_network("resnetv2_50"), PREACT),
    ]
    for depth, layers in DEPTHS.items():
        block = "basic" if depth in ("18", "34") else "bottleneck"
        rows.append((f"resnet{depth}", "transformers", transformers_network(layers, block), None))
        if block == "bottleneck":
            make = transformers_network(layers, block, downsample_in_bottleneck=True)
            rows.append((f"resnet{depth}_v1", "transformers", make, None))
    return rows


def arguments():
    options = parser(__doc__)
    options.add_argument("--framework", help="torchvision, timm or transformers [default: all]")
    options.add_argument("--device", default="cpu", help="what resnetc runs on")
    options.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    return options.parse_args()


def randomise(network, generator):
    """Random values for what a fresh network has constant: parameters and statistics of normalisations, and biases."""
    norms = (torch.nn.modules.batchnorm._BatchNorm, torch.nn.GroupNorm)
    layers = [module for module in network.modules() if isinstance(module, norms)]
    # Running statistics that are not the network's own do not keep sums from growing from unit to unit.
    gain = min(1.0, 4.0 / max(len(layers), 1) ** 0.5)
    uniform = lambda tensor, low, high: tensor.uniform_(low, high, generator=generator)
    with torch.no_grad():
        for layer in layers:
            uniform(layer.weight, 0.5 * gain, 1.5 * gain)
            uniform(layer.bias, -0.2, 0.2)
            if getattr(layer, "running_var", None) is not None:
                uniform(layer.running_var, 0.5, 1.5)
                uniform(layer.running_mean, -0.2, 0.2)
        for module in network.modules():
            if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)) and module.bias is not None:
                uniform(module.bias, -0.2, 0.2)


def logits(network, images):
    with torch.no_grad():
        answer = network(torch.from_numpy(images))
    return getattr(answer, "logits", answer).numpy()


def save(state, folder, number):
    """The same tensors in one of three formats."""
    state = {name: tensor.contiguous() for name, tensor in state.items()}
    if number % 3 == 0:
        safetensors.torch.save_file(state, folder / "w.safetensors")
        return folder / "w.safetensors"
    torch.save({"epoch": 1, "state_dict": state}, folder / "w.pth", _use_new_zipfile_serialization=number % 3 == 1)
    return folder / "w.pth"


def there(args, name, spec, framework, make, folder, number):
    """Into resnetc: tensors, dialect, largest relative difference."""
    generator = torch.Generator().manual_seed(number)
    torch.manual_seed(number)
    network = make().eval()
    randomise(network, generator)
    state = network.state_dict()
    path = save(state, folder, number)
    side = 32 if name in ("notebook-resnet50-cifar10", "cifar_resnet18") else 224
    images = np.random.default_rng(number).standard_normal((IMAGES, 3, side, side)).astype(np.float32)
    np.save(folder / "x.npy", images)
    device = ["--device", args.device]
    said = resnetc(args, "run", spec, "--weights", path, "--input", folder / "x.npy", "--output", folder / "y.npy", *device)
    found = re.search(r"(\d+) tensors by the names of (\w+)(?: \((.*) ha)?", said)
    if not found:
        raise Failed(f"resnetc does not say what it decided: {said}")
    expected, answer = logits(network, images), np.load(folder / "y.npy")
    difference = float(np.abs(expected - answer).max() / np.abs(expected).max())
    return network, path, int(found[1]), found[2], difference


def back(args, spec, framework, make, network, path, folder):
    """By resnetc's names, from those by the framework's, into a fresh network: every tensor has to be the same."""
    own, theirs = folder / "own.safetensors", folder / "back.safetensors"
    resnetc(args, "weights", "convert", path, own, "--dialect", "resnetc", "--spec", spec)
    resnetc(args, "weights", "convert", own, theirs, "--dialect", framework, "--spec", spec)
    fresh = make().eval()
    fresh.load_state_dict(safetensors.torch.load_file(theirs), strict=True)
    for (name, before), after in zip(network.state_dict().items(), fresh.state_dict().values()):
        if not name.endswith("num_batches_tracked") and not torch.equal(before, after):
            raise Failed(f"`{name}` is another one when it comes back")


def check(args, row, number):
    name, framework, make, text = row
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        spec = name
        if text is not None:
            spec = folder / f"{name}.yaml"
            spec.write_text(f"name: {name}\n{text}")
        network, path, tensors, dialect, difference = there(args, name, spec, framework, make, folder, number)
        back(args, spec, framework, make, network, path, folder)
        return tensors, dialect, difference


def main():
    args = arguments()
    versions = [f"{module.__name__} {module.__version__}" for module in (torch, torchvision, timm, transformers)]
    print(", ".join(versions))
    head = ["network", "framework", "dialect found", "tensors", "largest relative difference", "and back"]
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head) if args.markdown else "{:26} {:13} {:14} {:>8} {:>12}  {}".format(*head[:4], "difference", head[5]))
    passed, failed = 0, 0
    for number, row in enumerate(networks()):
        if args.only and row[0] not in args.only or args.framework not in (None, row[1]):
            continue
        try:
            tensors, dialect, difference = check(args, row, number)
            agrees = difference <= TOLERANCE
            cells = [row[0], row[1], dialect, str(tensors), f"{difference:.1e}", "equal" if agrees else "equal; TOO FAR"]
        except Exception as error:  # Any failure is a row of its own; the rest goes on.
            agrees, cells = False, [row[0], row[1], "-", "-", "-", f"FAILED: {str(error)[:300]}"]
        passed, failed = passed + agrees, failed + (not agrees)
        print("| " + " | ".join(cells) + " |" if args.markdown else "{:26} {:13} {:14} {:>8} {:>12}  {}".format(*cells), flush=True)
    print(f"{passed} of {passed + failed} agree within {TOLERANCE:g}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
