"""The edge: who calls, is it valid, commit the job, wake a worker, relay its events."""
