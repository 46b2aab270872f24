"""The life of a job: accepted, claimed, run, watched, cancelled, taken over and finished.

Postgres is the truth (:mod:`~shared.jobs.store`, :mod:`~shared.jobs.accept`), Redis its shadow
(:mod:`~shared.jobs.leases`, :mod:`~shared.jobs.event_log`, :mod:`~shared.jobs.permits`), Celery messages are
wake-ups (:mod:`~shared.jobs.wakeups`). What heals the shadow lies in :mod:`~shared.jobs.reaper` and
:mod:`~shared.jobs.sweep`. Gateway and workers share it; it imports neither.
"""
