"""What a script reaches that has broken out of the language: nothing."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.integration.sandbox.children import descendants
from tests.integration.sandbox.conftest import BARE, run, started
from workers.sandbox.process import ScriptProcesses
from workers.sandbox.result import ErrorKind

T = TypeVar("T")

LIBC = "libc = ctypes.CDLL(None, use_errno=True)\n"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root sees into the confined processes")

FORBIDDEN = {
    "fork": "os.fork()",
    "thread": "threading.Thread(target=int).start()",
    "exec": "os.execv('/bin/true', ['true'])",
    "spawn": "subprocess.run(['/bin/true'])",
    "socket": "socket.socket()",
    "connect": LIBC + "libc.connect(3, b'', 0)",
    "passing descriptors": "socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=3).sendmsg([b'x'])",
    "receiving descriptors": "socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=3).recvmsg(1)",
    "kill": "os.kill(os.getpid(), 0)",
    "kill all": "os.kill(-1, 9)",
    "parent": "os.getppid()",
    "who": "os.getuid()",
    "stat": "os.stat('/')",
    "removing": "os.unlink('/tmp/x')",
    "working directory": "os.getcwd()",
    "reading": "os.read(3, 1)",
    "writing": "os.write(3, b'x')",
    "pipe": "os.pipe()",
    "descriptor": "os.dup(3)",
    "limits": "resource.setrlimit(resource.RLIMIT_CPU, (100, 100))",
    "timer": "signal.setitimer(signal.ITIMER_PROF, 0)",
    "handler": "signal.signal(signal.SIGPROF, signal.SIG_IGN)",
    "mask": "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPROF])",
    "prctl": LIBC + "libc.prctl(4, 1, 0, 0, 0)",
    "ptrace": LIBC + "libc.ptrace(0, 0, 0, 0)",
    "another's memory": LIBC + "libc.process_vm_readv(1, 0, 0, 0, 0, 0)",
    "executable memory": "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)",
    "memory made executable": LIBC + "libc.mprotect(ctypes.c_void_p(id(libc) & ~4095), 4096, 7)",
    "io_uring": LIBC + "libc.syscall(425, 1, 0)",
    "namespaces": LIBC + "libc.unshare(0x10000000)",
    "x32": LIBC + "libc.syscall(0x40000000 + 39)",
    "an unknown call": LIBC + "libc.syscall(999)",
    "sleep": "time.sleep(0.01)",
}


@pytest.mark.parametrize("source", FORBIDDEN.values(), ids=FORBIDDEN.keys())
async def test_a_forbidden_call_ends_the_process(bare: ScriptProcesses, source: str) -> None:
    result = await run(bare, source)

    assert result.error is not None, result
    assert (result.error.kind, result.error.type) == (ErrorKind.BROKEN, "ForbiddenError"), result
    assert (await run(bare, "x = 1")).variables == {"x": 1}


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/proc/self/environ", "/proc/self/mem", "/dev/null", "/", __file__]
)
async def test_no_file_can_be_opened(bare: ScriptProcesses, path: str) -> None:
    for how in ("open", "os.listdir"):
        result = await run(bare, f"{how}({path!r})")

        assert result.error is not None
        assert result.error.type == "PermissionError"


async def test_the_only_descriptor_is_the_socket(bare: ScriptProcesses) -> None:
    source = LIBC + (
        "buffer = ctypes.create_string_buffer(1)\n"
        "def status(n):\n"
        "    libc.recv(n, buffer, 0, socket.MSG_DONTWAIT)\n"
        "    return ctypes.get_errno()\n"
        "open_ = [n for n in range(2000) if status(n) != 9]"
    )

    assert (await run(bare, source)).variables == {"open_": [3]}


async def test_there_is_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_TEST_SECRET", "swordfish")
    source = LIBC + (
        "view = dict(os.environ)\n"
        "at = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, 'environ')\n"
        "raw = []\n"
        "while at and at[len(raw)]:\n"
        "    raw.append(at[len(raw)].decode())\n"
        "arguments = sys.argv"
    )
    with started(language=BARE) as processes:
        variables = (await run(processes, source)).variables

    assert variables["view"] == {}
    assert variables["raw"] in ([], ["TZ=UTC0"])
    assert "swordfish" not in str(variables)


async def test_local_time_is_utc(bare: ScriptProcesses) -> None:
    result = await run(bare, "x = [time.localtime().tm_gmtoff, time.mktime(time.gmtime(86400))]")

    assert result.variables == {"x": [0, 86400.0]}


@as_root
async def test_no_secret_of_the_worker_is_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "sword" + os.urandom(8).hex()
    monkeypatch.setenv("PARLEY_TEST_SECRET", secret)
    kept = [secret.encode() for _ in range(1000)]
    before = descendants()
    with started(language=BARE) as processes:
        await run(processes, "x = 1")
        memories = _of_each(descendants() - before, _memory)
        assert secret.encode() in _memory(os.getpid())

    assert kept
    assert len(memories) > 1
    assert [pid for pid, memory in memories.items() if secret.encode() in memory] == []
    assert all(len(memory) > 2**20 for memory in memories.values())


def _of_each(pids: set[int], look: Callable[[int], T]) -> dict[int, T]:
    """What ``look`` sees of each process; of one that ends meanwhile, nothing."""
    seen = {}
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            seen[pid] = look(pid)
    return seen


def _memory(pid: int) -> bytes:
    """All that ``pid`` can write in its memory."""
    parts = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            begin, end, rights = re.match(r"(\w+)-(\w+) (\S+)", line).groups()  # type: ignore[union-attr]
            if rights.startswith("rw"):
                memory.seek(int(begin, 16))
                try:
                    parts.append(memory.read(int(end, 16) - int(begin, 16)))
                except OSError:
                    continue
    return b"".join(parts)


@as_root
async def test_what_the_kernel_says_of_a_process() -> None:
    before = descendants()
    with started(language=BARE) as processes:
        await run(processes, "x = 1")
        # A process that was forked just now is not confined yet: the pool is full after a while, and rests.
        facts = await _at_rest(lambda: _of_each(descendants() - before, _status))

    assert len(facts) > 1
    for pid, status in facts.items():
        assert status["Uid"] == status["Gid"] == "65534\t65534\t65534\t65534"
        assert status["Groups"].strip() == ""
        assert status["NoNewPrivs"] == "1"
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapAmb"], 16) == 0
        assert status["oom_score_adj"] == "1000"
        assert status["environ"] == ""
        assert status["cwd"] == "/"
        # The zygote itself is not filtered: it forks, and runs nothing of anybody.
        zygote = status["PPid"] == str(os.getpid())
        assert status["Seccomp"] == ("0" if zygote else "2"), pid
        if not zygote:
            assert status["fds"] == "3"


async def _at_rest(look: Callable[[], dict[int, Any]]) -> dict[int, Any]:
    seen, again = None, look()
    while seen != again:
        await asyncio.sleep(0.05)
        seen, again = again, look()
    return again


def _status(pid: int) -> dict[str, Any]:
    at = Path(f"/proc/{pid}")
    facts = dict(line.split(":\t", 1) for line in (at / "status").read_text().splitlines() if ":\t" in line)
    facts["oom_score_adj"] = (at / "oom_score_adj").read_text().strip()
    facts["environ"] = (at / "environ").read_text()
    facts["cwd"] = os.readlink(at / "cwd")
    # These go on while a process rests.
    facts = {name: value for name, value in facts.items() if "ctxt_switches" not in name}
    facts["fds"] = " ".join(sorted(os.listdir(at / "fd")))
    return facts
