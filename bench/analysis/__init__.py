"""What the values say: intervals and verdicts, then the answers. No words, no files."""
