"""Reading data/*.csv: one drawing of 8 by 8 pixels a line, its class the file's name."""

import csv
from pathlib import Path

CLASSES = ("circle", "cross", "line", "square")
PIXELS = 64

Example = tuple[list[float], int]


def load(folder: Path, share_for_test: float) -> tuple[list[Example], list[Example]]:
    """(examples to learn from, examples to test with); the same ones every time."""
    training: list[Example] = []
    test: list[Example] = []
    for label, name in enumerate(CLASSES):
        with open(folder / f"{name}.csv", newline="") as file:
            drawings = [[float(pixel) for pixel in row] for row in csv.reader(file)]
        if any(len(drawing) != PIXELS for drawing in drawings):
            raise ValueError(f"{folder / name}.csv: a drawing has {PIXELS} pixels")
        border = int(len(drawings) * share_for_test)
        test += [(drawing, label) for drawing in drawings[:border]]
        training += [(drawing, label) for drawing in drawings[border:]]
    return training, test
