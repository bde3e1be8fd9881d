"""What the end-to-end and fault tests stand on: see tests/README.md."""
