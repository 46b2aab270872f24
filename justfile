# What is typed daily. `just` lists the recipes; each is one command that works without just, too.

_list:
    @just --list

# The whole stack in the foreground.
up *args:
    .venv/bin/parley up {{args}}

# The main suite in two processes, or a part of it.
test *args:
    .venv/bin/python -m pytest -n 2 {{args}}

# The scripts' language and processes, and every attack on them.
sandbox:
    .venv/bin/python -m pytest tests/unit/sandbox tests/integration/sandbox

# The sandbox's escape suite on every supported Python that is here.
pythons *args:
    scripts/pythons {{args}}

# The compose file on a real container engine.
containers *args:
    scripts/containers {{args}}

# The long simulation of the job protocol, and faults put into it on purpose.
simulation:
    .venv/bin/python -m pytest tests/integration/jobs -m slow

# Faults under load, judged by the history checker.
chaos:
    .venv/bin/python -m pytest tests/chaos -m slow

# Style, types, import rules and generated files.
lint:
    scripts/lint

# Format and mend what can be mended.
fix:
    .venv/bin/ruff check --fix . && .venv/bin/ruff format .

# Latency, throughput, cancel times and memory beside a direct proxy; modules and scripts.
bench *args:
    .venv/bin/python -m tests.benchmarks {{args}}

# Write .env.example from the settings.
env-example:
    scripts/env-example

# What claims cost with 10,000 jobs, and the queue of 10,000 streams simulated.
scale *args:
    .venv/bin/python -m tests.simulation {{args}}

# Build both distributions, and use the wheel in an empty environment.
wheel *args:
    scripts/wheel-check {{args}}

# Write the documentation of plugin functions from the functions.
plugin-docs:
    scripts/plugin-docs

# Check compose file, Dockerfile, Helm chart and rules without a network.
validate *args:
    scripts/validate {{args}}

# Write the table of the chart's values and its schema of settings.
chart-docs:
    scripts/chart-docs

# Renew the locked versions.
lock:
    uv pip compile --universal --python-version 3.11 --all-extras pyproject.toml --no-annotate --custom-compile-command 'just lock' --upgrade --output-file requirements.lock
