"""Tests of exported runs."""
