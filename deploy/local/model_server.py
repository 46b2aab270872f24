"""llama.cpp's OpenAI-compatible server around one model: ``python -m deploy.local.model_server``.

It listens on 127.0.0.1 only, asks for the key in ``PARLEY_LOCAL_MODEL_KEY``, and ends with its parent.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time

_PARENT_CHECK = 1.0  # seconds
#: Prompts that were computed lately, for agents that ask by turns: some 23 KB a token of the default model.
_PROMPT_CACHE = 384  # MiB


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal, or until the parent is gone. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.model_server", description=__doc__)
    parser.add_argument("--model", required=True, help="GGUF file")
    parser.add_argument("--alias", required=True, help="name that requests call it by")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--slots", type=int, required=True, help="requests at once")
    parser.add_argument("--context", type=int, required=True, help="tokens of each slot")
    parser.add_argument("--sha256", help="of the file; told with the list of models, among the tags")
    parser.add_argument("--threads", type=int, default=max(1, min(os.cpu_count() or 1, 8)))
    options = parser.parse_args(arguments)
    parent = os.getppid()
    # It keeps nothing, so it may simply die; a handler would have to wait while the model loads.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        import xllamacpp
    except ImportError as error:
        print(
            f"The engine cannot be loaded: {error}. Install it (pip install 'parley[local]'), or start "
            "without the local model (parley up --no-local-model).",
            file=sys.stderr,
        )
        return 1
    parameters = xllamacpp.CommonParams()
    parameters.model.path = options.model
    parameters.model_alias = {options.alias}
    if options.sha256:
        parameters.model_tags = {f"sha256:{options.sha256}"}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = options.port
    parameters.reuse_port = True  # the supervisor keeps the port reserved for the next start
    parameters.api_keys = [os.environ["PARLEY_LOCAL_MODEL_KEY"]]
    parameters.n_parallel = options.slots
    parameters.n_ctx = options.context * options.slots  # the engine divides it among the slots
    parameters.use_jinja = True
    # What a request does not say. Temperature and top_p are those that the model's makers recommend; a small
    # model likes to repeat itself, and would hold its slot for minutes until its context is full.
    parameters.sampling.temp = 0.2
    parameters.sampling.top_p = 0.9
    parameters.sampling.penalty_repeat = 1.05
    parameters.sampling.penalty_last_n = 256
    parameters.n_predict = options.context // 4
    parameters.ui = False
    parameters.cache_ram_mib = _PROMPT_CACHE
    for threads in (parameters.cpuparams, parameters.cpuparams_batch):
        threads.n_threads = options.threads
        threads.poll = 0  # waiting threads sleep: the cores belong to the other parts, too
    server = xllamacpp.Server(parameters)
    print(f"serving {options.alias} on {server.listening_address}", flush=True)
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK)
    return 0


if __name__ == "__main__":
    sys.exit(main())
