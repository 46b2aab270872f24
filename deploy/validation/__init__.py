"""Checks of what deploys Parley that need no network, no cluster and no container engine."""
