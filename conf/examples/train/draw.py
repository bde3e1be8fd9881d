#!/usr/bin/env python3
"""Draw the data set again: `python3 draw.py` writes data/*.csv, the same files every time."""

import csv
import math
import random
from pathlib import Path

from dataset import CLASSES

SIDE = 8
DRAWINGS = 100


def strokes(name: str) -> list[tuple[float, float]]:
    """Points of a shape between -1 and 1."""
    steps = [i / 20 for i in range(21)]
    if name == "circle":
        return [(math.cos(2 * math.pi * t), math.sin(2 * math.pi * t)) for t in steps]
    if name == "cross":
        return [(2 * t - 1, 2 * t - 1) for t in steps] + [(2 * t - 1, 1 - 2 * t) for t in steps]
    if name == "line":
        return [(2 * t - 1, 0.0) for t in steps]
    return [
        point for t in steps for point in ((2 * t - 1, -1.0), (2 * t - 1, 1.0), (-1.0, 2 * t - 1), (1.0, 2 * t - 1))
    ]


def draw(name: str, dice: random.Random) -> list[float]:
    """One drawing: the shape turned, scaled and moved a little, on a noisy ground."""
    turn = dice.uniform(-0.6, 0.6)
    size = dice.uniform(1.8, 3.2)
    dx, dy = dice.uniform(-0.7, 0.7), dice.uniform(-0.7, 0.7)
    pixels = [dice.uniform(0, 0.35) for _ in range(SIDE * SIDE)]
    for x, y in strokes(name):
        column = round(3.5 + dx + size * (x * math.cos(turn) - y * math.sin(turn)))
        row = round(3.5 + dy + size * (x * math.sin(turn) + y * math.cos(turn)))
        if 0 <= column < SIDE and 0 <= row < SIDE:
            pixels[row * SIDE + column] = dice.uniform(0.6, 1)
    return pixels


def main() -> None:
    dice = random.Random(1)
    folder = Path(__file__).resolve().parent / "data"
    folder.mkdir(exist_ok=True)
    for name in CLASSES:
        with open(folder / f"{name}.csv", "w", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            for _ in range(DRAWINGS):
                rows.writerow(f"{pixel:.2f}" for pixel in draw(name, dice))


if __name__ == "__main__":
    main()
