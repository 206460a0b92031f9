"""Warp: expose applications through an edge fleet of your own, without exposing their machines."""

__version__ = "0.1.0"
