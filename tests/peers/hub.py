#!/usr/bin/env python3
"""Compares folders that `resnetc export --hub` wrote with timm, and files of `--format torchvision` with torchvision.

For every compiled-in network that timm has, it takes random weights (running statistics random too), writes the folder, lets timm
make a model of it, and compares the logits with those of `resnetc run`. Where torchvision has the network by the same
name, it loads the file that was written for it.

    pip install numpy torch torchvision timm onnx safetensors
    cargo build --release && python tests/peers/hub.py

Exit status: 0 all agree, 1 some do not, or a program failed.
"""

import sys
import tempfile
from pathlib import Path

from shared import IMAGES, TOLERANCE, Failed, parser, resnetc

# This folder has modules that are called as the packages that are imported.
sys.path.pop(0)

import numpy as np
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file

NAMES = (
    "resnet18 resnet34 resnet50 resnet101 resnet152 resnet18d resnet50c resnet50d resnet50s resnet50t resnet50_gn "
    "resnext50_32x4d resnext101_32x8d resnext101_64x4d wide_resnet50_2 wide_resnet101_2 seresnet50 "
    "ecaresnet50d densenet121 densenet161 densenet169 densenet201"
).split()


def random(tensors, generator):
    """The tensors of timm's names with random statistics and normalisations."""
    scales = sum(1 for name, value in tensors.items() if name.endswith("running_var"))
    gain = min(1.0, 3.0 / max(scales, 1) ** 0.5)

    def uniform(like, low, high):
        return torch.empty_like(like).uniform_(low, high, generator=generator)

    for name, value in tensors.items():
        if name.endswith("running_var"):
            tensors[name] = uniform(value, 0.5, 1.5)
        elif name.endswith("running_mean"):
            tensors[name] = torch.randn(value.shape, generator=generator) * 0.2
        elif name.endswith(".weight") and value.ndim == 1:
            tensors[name] = uniform(value, 0.5, 1.5) * gain
        elif name.endswith(".bias"):
            tensors[name] = torch.randn(value.shape, generator=generator) * 0.1
    return tensors


def difference(found, wanted):
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def compare(args, name, folder, number):
    weights, images, results = folder / "w.safetensors", folder / "x.npy", folder / "y.npy"
    resnetc(args, "export", name, "--format", "timm", "-o", folder / "fresh.safetensors")
    generator = torch.Generator().manual_seed(number)
    save_file(random(load_file(folder / "fresh.safetensors"), generator), weights)
    pictures = torch.randn((IMAGES, 3, 224, 224), generator=generator)
    np.save(images, pictures.numpy())
    resnetc(args, "run", name, "--weights", weights, "--input", images, "--output", results)
    wanted = np.load(results)
    resnetc(args, "export", name, "--weights", weights, "--hub", folder / "hub")
    with torch.inference_mode():
        model = timm.create_model(f"local-dir:{folder / 'hub'}", pretrained=True).eval()
        row = {"timm": difference(model(pictures).numpy(), wanted)}
        if hasattr(torchvision.models, name):
            target = folder / "tv.safetensors"
            resnetc(args, "export", name, "--weights", weights, "--format", "torchvision", "-o", target)
            other = getattr(torchvision.models, name)()
            # Counters of steps are nothing that inference needs.
            missing, unexpected = other.load_state_dict(load_file(target), strict=False)
            if unexpected or any(not key.endswith("num_batches_tracked") for key in missing):
                raise Failed(f"torchvision misses {missing}, does not expect {unexpected}")
            row["torchvision"] = difference(other.eval()(pictures).numpy(), wanted)
    return row


def main():
    args = parser(__doc__).parse_args()
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}, timm {timm.__version__}")
    failed, largest, count = [], 0.0, 0
    for number, name in enumerate(args.only or NAMES):
        with tempfile.TemporaryDirectory() as folder:
            try:
                row = compare(args, name, Path(folder), number)
                print(f"{name:<24}" + "".join(f"  {key} {value:.1e}" for key, value in row.items()), flush=True)
                largest, count = max(largest, *row.values()), count + len(row)
                if max(row.values()) > TOLERANCE:
                    failed.append(name)
            except Exception as error:  # Any failure is a row of its own; the rest goes on.
                failed.append(name)
                print(f"{name:<24}  FAILED: {str(error)[:300]}", flush=True)
    print(f"\n{count} comparisons, largest difference {largest:.1e}, failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
