"""The files of other tools: pyperf and pytest-benchmark."""
