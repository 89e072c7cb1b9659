#!/usr/bin/env python3
"""Metrics of evaluations by scikit-learn: writes metrics.json beside this file.

Logits are numbers that `f32` holds, the softmax is of double precision. scikit-learn has no expected calibration error: it is that of Guo
et al. 2017, 15 bins of equal width, spelled out with NumPy. Written with scikit-learn 1.9.1 and NumPy 2.4.6.
"""

import json
from pathlib import Path

import numpy as np
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score, top_k_accuracy_score


def calibration_error(probability, right, bins=15):
    edges = np.linspace(0, 1, bins + 1)
    error = 0.0
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (probability >= low) & ((probability < high) | (high == 1))
        if inside.any():
            error += inside.mean() * abs(probability[inside].mean() - right[inside].mean())
    return error


def case(random, images, classes, spread, present):
    """Labels are of the first `present` classes; the logits lean towards them."""
    labels = random.integers(present, size=images)
    logits = random.normal(size=(images, classes)) * spread
    logits[np.arange(images), labels] += 1.0
    # Quarters are exact, and tie.
    logits = np.round(logits * 4) / 4
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = powers / powers.sum(axis=1, keepdims=True)
    predicted = logits.argmax(axis=1)
    found = {
        "balanced_accuracy": balanced_accuracy_score(labels, predicted),
        "macro_f1": f1_score(labels, predicted, average="macro", zero_division=0),
        "calibration_error": calibration_error(shares.max(axis=1), (labels == predicted).astype(float)),
    }
    if classes > 5:
        # Without ties: scikit-learn takes the last of equal ones, resnetc and PyTorch the first.
        apart = logits - np.arange(classes) * 1e-9
        found["top5_accuracy"] = top_k_accuracy_score(labels, apart, k=5, labels=np.arange(classes))
    if classes == 2:
        found["auroc"] = roc_auc_score(labels, logits[:, 1] - logits[:, 0])
    return {"classes": classes, "labels": labels.tolist(), "logits": logits.ravel().tolist(), "metrics": found}


def main():
    random = np.random.default_rng(5)
    sizes = [(60, 2, 1.0, 2), (60, 3, 0.7, 3), (80, 8, 1.0, 8), (80, 12, 2.0, 9)]
    cases = [case(random, *size) for size in sizes]
    # A class that is answered but never true counts for F1 and not for the recalls.
    assert any(max(c["labels"]) + 1 < c["classes"] for c in cases)
    Path(__file__).with_suffix(".json").write_text(json.dumps(cases) + "\n")


main()
