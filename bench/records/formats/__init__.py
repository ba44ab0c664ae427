"""The files of other tools: read, and written from a run's journal."""

FILES = {"pyperf": "pyperf.json", "pytest-benchmark": "pytest-benchmark.json", "csv": "values.csv"}
