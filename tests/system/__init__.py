"""What pip alone does not bring: a browser, Java, engines of a gigabyte. ``pytest tests/system`` runs these tests."""
