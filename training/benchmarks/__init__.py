"""Beside what people use: speed, the public extraction benchmarks, and what an extractor lets through."""
