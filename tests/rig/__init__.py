"""A Hadoop cluster on loopback for tests and developers; README.md of this folder tells what it is."""
