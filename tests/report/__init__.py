"""Tests of the statistics, the summary and the page."""
