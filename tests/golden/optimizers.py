#!/usr/bin/env python3
"""Prints tests/golden/optimizers.txt: parameters after five steps of each optimizer, in double precision, by NumPy alone.

Each formula is written down here a second time, from timm 1.0's lion.py, lamb.py (without its clipping) and lars.py, and from the papers
that these name. A line is the optimizer with its constants, then the parameters.
"""

import numpy as np

LEN, STEPS, RATE = 7, 5, 0.05


def start() -> np.ndarray:
    return (np.arange(LEN) - 3.0) / 4.0


def gradient(t: int) -> np.ndarray:
    """Multiples of 1/64, none 0: exact in f32."""
    return ((np.arange(LEN) * 7 + t * 13) % 97 - 48.5) / 64.0


def ratio(p: float, u: float) -> float:
    return p / u if p > 0 and u > 0 else 1.0


def lion(beta1, beta2, wd):
    p, m = start(), np.zeros(LEN)
    for t in range(STEPS):
        g = gradient(t)
        p = p * (1 - RATE * wd)
        p = p - RATE * np.sign(beta1 * m + (1 - beta1) * g)
        m = beta2 * m + (1 - beta2) * g
    return p


def lamb(beta1, beta2, eps, wd, trust_clip, always_adapt):
    p, m, v = start(), np.zeros(LEN), np.zeros(LEN)
    for t in range(STEPS):
        g = gradient(t)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        u = m / (1 - beta1 ** (t + 1)) / (np.sqrt(v) / np.sqrt(1 - beta2 ** (t + 1)) + eps) + wd * p
        if wd != 0 or always_adapt:
            trust = ratio(np.linalg.norm(p), np.linalg.norm(u))
            u = u * (min(trust, 1.0) if trust_clip else trust)
        p = p - RATE * u
    return p


def lars(momentum, nesterov, trust_coeff, eps, wd, trust_clip, always_adapt):
    p, buffer = start(), None
    for t in range(STEPS):
        g = gradient(t)
        if wd != 0 or always_adapt:
            w_norm, g_norm = np.linalg.norm(p), np.linalg.norm(g)
            trust = trust_coeff * w_norm / (g_norm + w_norm * wd + eps) if w_norm > 0 and g_norm > 0 else 1.0
            trust = min(trust / RATE, 1.0) if trust_clip else trust
            g = (g + wd * p) * trust
        if momentum:
            buffer = g if buffer is None else momentum * buffer + g
            g = g + momentum * buffer if nesterov else buffer
        p = p - RATE * g
    return p


CASES = [
    ("lion beta1 0.9 beta2 0.99 weight_decay 0.5", lion(0.9, 0.99, 0.5)),
    ("lion beta1 0.5 beta2 0.5 weight_decay 0", lion(0.5, 0.5, 0)),
    ("lamb beta1 0.9 beta2 0.999 eps 0.000001 weight_decay 0.01", lamb(0.9, 0.999, 1e-6, 0.01, False, False)),
    ("lamb beta1 0.9 beta2 0.999 eps 0.000001 weight_decay 0", lamb(0.9, 0.999, 1e-6, 0, False, False)),
    ("lamb beta1 0.9 beta2 0.999 eps 0.000001 weight_decay 0 trust_clip always_adapt",
     lamb(0.9, 0.999, 1e-6, 0, True, True)),
    ("lars momentum 0.9 dampening 0 trust_coeff 0.5 eps 0.00000001 weight_decay 0.1",
     lars(0.9, False, 0.5, 1e-8, 0.1, False, False)),
    ("lars momentum 0.9 dampening 0 trust_coeff 0.05 eps 0.00000001 weight_decay 0.1 nesterov trust_clip",
     lars(0.9, True, 0.05, 1e-8, 0.1, True, False)),
    ("lars momentum 0 dampening 0 trust_coeff 0.5 eps 0.00000001 weight_decay 0 always_adapt",
     lars(0, False, 0.5, 1e-8, 0, False, True)),
]

for name, values in CASES:
    print(name + ":", " ".join(f"{value:.12f}" for value in values))
