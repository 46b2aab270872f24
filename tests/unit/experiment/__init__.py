"""The justice-principle experiment, part by part."""
