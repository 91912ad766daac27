"""Thin adapters to frameworks; each module imports its own framework only."""
