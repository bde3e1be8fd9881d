"""A network with one hidden layer, trained by gradient descent with momentum."""

import math
import random

MOMENTUM = 0.8


def softmax(scores: list[float]) -> list[float]:
    top = max(scores)
    powers = [math.exp(score - top) for score in scores]
    total = sum(powers)
    return [power / total for power in powers]


class Layer:
    """outputs = weights · inputs; the last weight of a row is its bias."""

    def __init__(self, inputs: int, outputs: int):
        scale = 1 / math.sqrt(inputs)
        self.weights = [[random.uniform(-scale, scale) for _ in range(inputs + 1)] for _ in range(outputs)]
        self.moving = [[0.0] * (inputs + 1) for _ in range(outputs)]

    def apply(self, values: list[float]) -> list[float]:
        return [row[-1] + sum(weight * value for weight, value in zip(row, values)) for row in self.weights]

    def learn(self, values: list[float], errors: list[float], rate: float) -> list[float]:
        """Step against the error; returns the error of the inputs."""
        back = [0.0] * len(values)
        extended = [*values, 1.0]
        for row, moving, error in zip(self.weights, self.moving, errors):
            for i in range(len(back)):
                back[i] += error * row[i]
            for i, value in enumerate(extended):
                moving[i] = MOMENTUM * moving[i] - rate * (1 - MOMENTUM) * error * value
                row[i] += moving[i]
        return back


class Network:
    def __init__(self, inputs: int, hidden: int, outputs: int):
        self.first = Layer(inputs, hidden)
        self.second = Layer(hidden, outputs)

    def forward(self, pixels: list[float]) -> tuple[list[float], list[float]]:
        hidden = [math.tanh(value) for value in self.first.apply(pixels)]
        return hidden, softmax(self.second.apply(hidden))

    def classify(self, pixels: list[float]) -> int:
        chances = self.forward(pixels)[1]
        return chances.index(max(chances))

    def learn(self, pixels: list[float], label: int, rate: float) -> float:
        """One step on one example; returns its loss before the step."""
        hidden, chances = self.forward(pixels)
        errors = [chance - (i == label) for i, chance in enumerate(chances)]
        back = self.second.learn(hidden, errors, rate)
        self.first.learn(pixels, [error * (1 - value * value) for error, value in zip(back, hidden)], rate)
        return -math.log(max(chances[label], 1e-12))

    def to_dict(self) -> dict:
        return {"first": self.first.weights, "second": self.second.weights}
