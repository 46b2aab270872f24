"""The engine room: Celery tasks that claim jobs and run chat turns on one event loop a process."""
