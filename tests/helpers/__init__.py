"""What the tests of several rooms share: made-up files and people, oracles, child processes."""
