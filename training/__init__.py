"""Training, evaluation and benchmarks; ``python -m training --help``. ``detector`` never imports it."""
