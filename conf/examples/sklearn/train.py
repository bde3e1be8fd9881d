"""Learns handwritten digits with scikit-learn, and leaves the model in outputs/."""

import argparse
import json
import os
import platform
import time
from pathlib import Path

import joblib
import sklearn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--regularization", type=float, default=1.0)
    arguments = parser.parse_args()

    print(f"python {platform.python_version()}, scikit-learn {sklearn.__version__}")
    images, digits = load_digits(return_X_y=True)
    parts = train_test_split(images, digits, test_size=0.25, random_state=1)
    train_images, test_images, train_digits, test_digits = parts
    print(f"{len(train_images)} images to learn from, {len(test_images)} to test with")

    begun = time.monotonic()
    model = make_pipeline(StandardScaler(), SVC(C=arguments.regularization))
    model.fit(train_images, train_digits)
    accuracy = model.score(test_images, test_digits)
    print(f"accuracy {accuracy:.2%} after {time.monotonic() - begun:.2f} s")
    with open(os.environ.get("ERRAND_METRICS", os.devnull), "a", encoding="utf-8") as metrics:
        print(json.dumps({"accuracy": accuracy}), file=metrics)

    outputs = Path("outputs")
    outputs.mkdir(exist_ok=True)
    joblib.dump(model, outputs / "digits.joblib")
    print("the model is in outputs/digits.joblib")


if __name__ == "__main__":
    main()
