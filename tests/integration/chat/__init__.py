"""Turns through gateway, queue and worker, on real servers."""
