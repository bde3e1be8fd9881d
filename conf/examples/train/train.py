#!/usr/bin/env python3
"""Train a classifier of handwriting-like strokes, with nothing but Python's standard library.

It prints a line an epoch, writes the same numbers for `errand metrics` where errand runs it, and leaves
outputs/model.json.
"""

import argparse
import json
import os
import platform
import random
import time
from pathlib import Path

import dataset
from model import Network


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rate", type=float, default=0.05, help="learning rate")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    random.seed(arguments.seed)
    here = Path(__file__).resolve().parent
    training, test = dataset.load(here / "data", share_for_test=0.2)
    network = Network(inputs=dataset.PIXELS, hidden=48, outputs=len(dataset.CLASSES))
    print(f"python {platform.python_version()} on {platform.node()}, in {Path.cwd()}")
    print(f"{len(training)} examples to learn from, {len(test)} to test with", flush=True)

    outputs = Path("outputs")
    outputs.mkdir(exist_ok=True)
    with open(os.environ.get("ERRAND_METRICS", os.devnull), "a", buffering=1) as metrics:
        for epoch in range(1, arguments.epochs + 1):
            start = time.monotonic()
            random.shuffle(training)
            loss = sum(network.learn(pixels, label, arguments.rate) for pixels, label in training) / len(training)
            accuracy = sum(network.classify(pixels) == label for pixels, label in test) / len(test)
            seconds = time.monotonic() - start
            print(json.dumps({"loss": loss, "accuracy": accuracy, "step": epoch}), file=metrics)
            print(f"epoch {epoch}: loss {loss:.4f}, accuracy {accuracy:.1%}, {seconds:.2f} s", flush=True)

    (outputs / "model.json").write_text(json.dumps(network.to_dict()))
    print(f"the model is in {outputs / 'model.json'}")


if __name__ == "__main__":
    main()
