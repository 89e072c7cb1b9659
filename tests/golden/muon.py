#!/usr/bin/env python3
"""Prints tests/golden/muon.txt: filters after five steps of Muon, in double precision, by NumPy alone.

The formula is written down here a second time, from Keller Jordan's muon.py (`muon_update`, `zeropower_via_newtonschulz5`), with the scale by
the sides of the flattened filter, as timm's muon.py and torch.optim.Muon have it. A line is the filter's shape [out, in, kh, kw] with the
constants, then the parameters in that order.
"""

import numpy as np

STEPS, RATE = 5, 0.05


def orthogonal(g: np.ndarray) -> np.ndarray:
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.T if g.shape[0] > g.shape[1] else g
    x = x / (np.linalg.norm(x) + 1e-7)
    for _ in range(5):
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return x.T if g.shape[0] > g.shape[1] else x


def muon(shape, momentum, nesterov, wd):
    count = int(np.prod(shape))
    at = np.arange(count)
    p, m = (at % 7 - 3.0) / 4.0, np.zeros(count)
    for t in range(STEPS):
        g = ((at * 7 + t * 13) % 97 - 48.5) / 64.0
        m = momentum * m + (1 - momentum) * g
        u = (1 - momentum) * g + momentum * m if nesterov else m
        u = orthogonal(u.reshape(shape[0], -1))
        u = u * max(1, u.shape[0] / u.shape[1]) ** 0.5
        p = p * (1 - RATE * wd) - RATE * u.reshape(-1)
    return p


CASES = [
    ([3, 2, 3, 3], 0.95, True, 0.1),
    ([12, 4, 1, 1], 0.95, True, 0.1),
    ([4, 4, 1, 1], 0.5, False, 0),
    ([30, 2, 3, 3], 0.5, False, 0),
]

for shape, momentum, nesterov, wd in CASES:
    name = f"{shape} muon momentum {momentum} weight_decay {wd}" + (" nesterov" if nesterov else "")
    print(name + ":", " ".join(f"{value:.12f}" for value in muon(shape, momentum, nesterov, wd)))
