"""Read files of other benchmark tools, and write such files from a run's journal."""

FILES = {"pyperf": "pyperf.json", "pytest-benchmark": "pytest-benchmark.json", "csv": "values.csv"}
