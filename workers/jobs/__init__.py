"""The Celery side of a job: claim, run, finish, and what keeps a process's jobs alive meanwhile."""
