#!/usr/bin/env python3
"""Operations of augmentation policies by torchvision on Pillow's pictures: writes operations.json beside this file.

Each is called as torchvision's RandAugment and TrivialAugmentWide call it, on a picture of colours and on a grey one.
"""

import json
import math
from pathlib import Path

import PIL
import torchvision
from PIL import Image
from torchvision.transforms import functional as F
from torchvision.transforms.functional import InterpolationMode

WIDTH, HEIGHT = 13, 9


def byte(i, channel):
    """Smooth in places, noisy in others, with few bytes in the last channel."""
    y, x = divmod(i, WIDTH)
    noise = (i * 2654435761 >> 7) % 97
    return [min(255, 20 * x + noise), (9 * y * x + 2 * noise) % 256, 40 + 5 * ((x + y) % 9)][channel]


def shear(image, x, y, by):
    degrees = [math.degrees(math.atan(m)) for m in (x, y)]
    return F.affine(image, angle=0.0, translate=[0, 0], scale=1.0, shear=degrees, interpolation=by, center=[0, 0])


def translate(image, x, y, by):
    return F.affine(image, angle=0.0, translate=[x, y], scale=1.0, shear=[0.0, 0.0], interpolation=by)


def colours(image):
    for factor in [0.0, 0.1, 0.73, 1.0, 1.45, 1.9]:
        yield {"Brightness": factor}, F.adjust_brightness(image, factor)
        yield {"Contrast": factor}, F.adjust_contrast(image, factor)
        yield {"Color": factor}, F.adjust_saturation(image, factor)
        yield {"Sharpness": factor}, F.adjust_sharpness(image, factor)
    for turn in [-0.5, -0.11, 0.0, 0.2, 0.5]:
        yield {"Hue": turn}, F.adjust_hue(image, turn)
    for bits in [1, 4, 7, 8]:
        yield {"Posterize": bits}, F.posterize(image, bits)
    for threshold in [0.0, 76.5, 128.0, 255.0]:
        yield {"Solarize": threshold}, F.solarize(image, threshold)
    yield {"AutoContrast": None}, F.autocontrast(image)
    yield {"Equalize": None}, F.equalize(image)


def moves(image, by):
    for m in [-0.3, 0.17, 0.99]:
        yield {"ShearX": m}, shear(image, m, 0.0, by)
        yield {"ShearY": m}, shear(image, 0.0, m, by)
    for t in [-4, 3, 40]:
        yield {"TranslateX": t}, translate(image, t, 0, by)
        yield {"TranslateY": t}, translate(image, 0, t, by)
    for degrees in [-135.0, -30.0, 11.5, 90.0, 180.0]:
        yield {"Rotate": degrees}, F.rotate(image, degrees, interpolation=by)


def main():
    pictures, cases = [], []
    for mode, channels in [("RGB", 3), ("L", 1)]:
        data = bytes(byte(i, c) for i in range(WIDTH * HEIGHT) for c in range(channels))
        image = Image.frombytes(mode, (WIDTH, HEIGHT), data)
        pictures.append({"size": [HEIGHT, WIDTH, channels], "pixels": data.hex()})
        found = [(operation, "Nearest", result) for operation, result in colours(image)]
        for by, word in [(InterpolationMode.NEAREST, "Nearest"), (InterpolationMode.BILINEAR, "Bilinear")]:
            found += [(operation, word, result) for operation, result in moves(image, by)]
        for operation, by, result in found:
            (name, magnitude), = operation.items()
            case = {"picture": len(pictures) - 1, "name": name, "magnitude": magnitude, "by": by}
            cases.append(case | {"pixels": result.tobytes().hex()})
    versions = {"torchvision": torchvision.__version__, "pillow": PIL.__version__}
    text = json.dumps({"versions": versions, "pictures": pictures, "cases": cases}, separators=(",", ":"))
    Path(__file__).with_suffix(".json").write_text(text.replace('{"picture"', '\n{"picture"') + "\n")


main()
