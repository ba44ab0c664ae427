"""Provide the files, processes, devices, libraries and clock of this computer, and audit its fairness."""
