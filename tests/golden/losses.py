#!/usr/bin/env python3
"""Losses and their gradients by PyTorch, timm and torchvision: writes losses.json beside this file.

What is computed is computed in double precision, from numbers that `f32` holds. Soft targets are those of timm's `mixup_target`, with a
share for each image.
"""

import json
from pathlib import Path

import timm
import torch
import torchvision
from timm.loss import BinaryCrossEntropy, SoftTargetCrossEntropy
from torchvision.ops import sigmoid_focal_loss

ROWS, CLASSES = 4, 5


def soft(labels, others, shares, smoothing):
    """The target of each image."""
    off = smoothing / CLASSES
    hot = lambda y: torch.full((ROWS, CLASSES), off).double().scatter_(1, y[:, None], 1.0 - smoothing + off)
    return hot(labels) * shares[:, None] + hot(others) * (1.0 - shares[:, None])


def cases(x, labels, others, shares, weights):
    for smoothing in [0.0, 0.1]:
        mixture = soft(labels, others, shares, smoothing)
        one = soft(labels, labels, shares, smoothing)
        # The target's smoothing is the loss' own where labels are indices.
        hot = soft(labels, labels, shares, 0.0)
        for w in [None, weights]:
            cross = torch.nn.CrossEntropyLoss(weight=w, label_smoothing=smoothing)
            yield "cross_entropy", smoothing, w, False, cross(x, labels)
            # Probabilities that are smoothed already.
            cross = torch.nn.CrossEntropyLoss(weight=w)
            yield "cross_entropy", smoothing, w, True, cross(x, mixture)
        yield "cross_entropy", smoothing, None, True, SoftTargetCrossEntropy()(x, mixture)
        for threshold in [None, 0.3]:
            for sums in [False, True]:
                loss = {"binary_cross_entropy": {"target_threshold": threshold, "sum_classes": sums}}
                for w in [None, weights]:
                    binary = BinaryCrossEntropy(smoothing, threshold, weight=w, sum_classes=sums)
                    yield loss, smoothing, w, False, binary(x, labels)
                    yield loss, smoothing, w, True, binary(x, mixture)
        for gamma, alpha in [(2.0, 0.25), (0.5, 0.75)]:
            for mixed, target in [(False, one), (True, mixture)]:
                loss = {"focal": {"gamma": gamma, "alpha": alpha, "sum_classes": False}}
                yield loss, smoothing, None, mixed, sigmoid_focal_loss(x, target, alpha, gamma, reduction="mean")


def main():
    torch.manual_seed(0)
    x = (3 * torch.randn(ROWS, CLASSES)).float().double().requires_grad_()
    labels, others = torch.tensor([1, 4, 0, 3]), torch.tensor([2, 4, 3, 0])
    shares = torch.tensor([0.75, 0.5, 0.8125, 1.0]).double()
    weights = torch.tensor([0.5, 2.0, 1.0, 0.25, 1.5]).double()
    found = []
    for objective, smoothing, w, mixed, loss in cases(x, labels, others, shares, weights):
        (gradient,) = torch.autograd.grad(loss, x)
        geometry = {"rows": ROWS, "classes": CLASSES, "objective": objective, "smoothing": smoothing}
        geometry |= {"weighted": w is not None, "mixed": mixed}
        found.append({"geometry": geometry, "loss": loss.item(), "gradient": gradient.flatten().tolist()})
    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__, "timm": timm.__version__}
    given = {"logits": x.flatten().tolist(), "labels": labels.tolist(), "others": others.tolist()}
    given |= {"shares": shares.tolist(), "class_weights": weights.tolist()}
    text = json.dumps({"versions": versions, "given": given, "cases": found}, separators=(",", ":"))
    Path(__file__).with_suffix(".json").write_text(text.replace('{"geometry"', '\n{"geometry"') + "\n")


main()
