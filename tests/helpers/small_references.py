"""References with as many trees and kernels as a test needs."""

from imujax.sweep import ridge, trees


def shrink(monkeypatch):
    """Make those of this test small."""
    monkeypatch.setattr(trees, "COUNTS", {"boosted": (1, 2), "extra": (5, 20)})
    monkeypatch.setattr(trees, "ROUNDS", 20)
    monkeypatch.setattr(ridge, "KERNELS", 84)
