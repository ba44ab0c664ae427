"""Faults on purpose: F1 to F36, each injected by a test. ``test_index`` tells which one by which."""
