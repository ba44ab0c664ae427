"""What is unfair or unstable on this machine."""
