"""Counts words, learns to tell two authors apart, and uses numpy and pandas where the executors run."""

import csv
import os
import platform
from pathlib import Path

import numpy as np
import pandas as pd
import words
from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import HashingTF, Tokenizer
from pyspark.sql import SparkSession
from pyspark.sql.functions import pandas_udf
from pyspark.sql.types import DoubleType


@pandas_udf(DoubleType())
def length_of_words(lines: pd.Series) -> pd.Series:
    """The mean length of each line's words."""
    return lines.map(lambda line: float(np.mean([len(word) for word in words.split(line)])))


def main():
    spark = SparkSession.builder.getOrCreate()
    context = spark.sparkContext
    context.setLogLevel("WARN")
    print(f"Spark {spark.version}, master {context.master}, Python {platform.python_version()}, numpy {np.__version__}")

    # The project's own file, where the driver runs.
    with open("data/lines.csv", newline="") as file:
        lines = [(row["line"], float(row["author"])) for row in csv.DictReader(file)]

    counts = (
        context.parallelize([line for line, _ in lines], 2)
        .flatMap(words.split)
        .map(lambda word: (word, 1))
        .reduceByKey(lambda a, b: a + b)
        .collect()
    )
    most = sorted(counts, key=lambda pair: (-pair[1], pair[0]))[:3]
    print("most frequent:", ", ".join(f"{word} {count}" for word, count in most))

    frame = spark.createDataFrame(lines, ["line", "label"])
    tokens = Tokenizer(inputCol="line", outputCol="words")
    features = HashingTF(inputCol="words", outputCol="features", numFeatures=256)
    model = Pipeline(stages=[tokens, features, LogisticRegression(maxIter=5)]).fit(frame)
    right = model.transform(frame).where("prediction = label").count()
    print(f"the model knows {right} of {len(lines)} lines")

    mean = frame.select(length_of_words("line").alias("mean")).agg({"mean": "avg"}).first()[0]
    print(f"mean length of words: {mean:.2f}")

    outputs = Path(os.environ.get("ERRAND_OUTPUTS", "outputs"))
    outputs.mkdir(exist_ok=True)
    (outputs / "counts.csv").write_text("".join(f"{word},{count}\n" for word, count in sorted(counts)))
    spark.stop()


if __name__ == "__main__":
    main()
