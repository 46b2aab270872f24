"""A filter of system calls, as classic BPF, that ends the process at the first call it does not list.

No library is needed: the program is some forty instructions, handed to ``prctl``. What is listed is what an
interpreter needs that computes, and talks over a socket that is already open: it can open nothing, start
nothing, signal nobody, and map no memory that is executable. Opening a file is refused without ending the
process, since the interpreter itself tries to, for the line of a syntax error.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import sys
from dataclasses import dataclass

_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_MODE_FILTER = 2
_KILL_PROCESS = 0x80000000
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EACCES
_PROT_EXEC = 4
#: Numbers from here on are those of the x32 ABI, which reaches the same calls under other numbers.
_X32 = 0x40000000

# Offsets in struct seccomp_data; the arguments are 64 bits wide, the low half first on both machines.
_NUMBER, _MACHINE, _THIRD_ARGUMENT = 0, 4, 32

_LOAD, _JUMP_EQUAL, _JUMP_NOT_BELOW, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06


class SeccompUnavailableError(Exception):
    """System calls cannot be filtered on this machine."""


@dataclass(frozen=True)
class _Machine:
    audit: int
    #: Calls that are allowed whatever their arguments are.
    plain: dict[str, int]
    #: Calls whose third argument is a memory protection.
    mapping: dict[str, int]
    #: Calls that fail with EACCES.
    refused: dict[str, int]


_MACHINES = {
    "x86_64": _Machine(
        audit=0xC000003E,
        plain={
            "munmap": 11,
            "brk": 12,
            "sched_yield": 24,
            "mremap": 25,
            "madvise": 28,
            "getpid": 39,
            "sendto": 44,
            "recvfrom": 45,
            "exit": 60,
            "gettimeofday": 96,
            "gettid": 186,
            "time": 201,
            "futex": 202,
            "restart_syscall": 219,
            "clock_gettime": 228,
            "clock_getres": 229,
            "exit_group": 231,
            "getrandom": 318,
        },
        mapping={"mmap": 9, "mprotect": 10},
        refused={"open": 2, "openat": 257},
    ),
    "aarch64": _Machine(
        audit=0xC00000B7,
        plain={
            "exit": 93,
            "exit_group": 94,
            "futex": 98,
            "clock_gettime": 113,
            "clock_getres": 114,
            "sched_yield": 124,
            "restart_syscall": 128,
            "gettimeofday": 169,
            "getpid": 172,
            "gettid": 178,
            "sendto": 206,
            "recvfrom": 207,
            "brk": 214,
            "munmap": 215,
            "mremap": 216,
            "madvise": 233,
            "getrandom": 278,
        },
        mapping={"mmap": 222, "mprotect": 226},
        refused={"openat": 56},
    ),
}


class Instruction(ctypes.Structure):
    """``struct sock_filter``."""

    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.POINTER(Instruction)))


def instructions(machine: str) -> list[tuple[int, int, int, int]]:
    """The program for ``machine`` (as ``uname -m`` tells it): (code, jump if true, if false, value) each."""
    table = _MACHINES.get(machine)
    if table is None:
        raise SeccompUnavailableError(f"there is no filter for the machine type {machine!r}")
    program = [(_LOAD, 0, 0, _MACHINE), (_JUMP_EQUAL, 1, 0, table.audit), (_RETURN, 0, 0, _KILL_PROCESS)]
    program.append((_LOAD, 0, 0, _NUMBER))
    if machine == "x86_64":
        program += [(_JUMP_NOT_BELOW, 0, 1, _X32), (_RETURN, 0, 0, _KILL_PROCESS)]
    # After the comparisons: kill, refuse, allow, and the look at the protection.
    targets = [(number, 1) for number in table.refused.values()]
    targets += [(number, 2) for number in table.plain.values()]
    targets += [(number, 3) for number in table.mapping.values()]
    for index, (number, target) in enumerate(targets):
        program.append((_JUMP_EQUAL, len(targets) - index - 1 + target, 0, number))
    program += [
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, _THIRD_ARGUMENT),
        (_JUMP_ANY_BIT, 0, 1, _PROT_EXEC),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return program


class SystemCallFilter:
    """A program that is ready to be installed: making it reads and allocates, installing is one call."""

    def __init__(self, program: list[tuple[int, int, int, int]]) -> None:
        self._instructions = (Instruction * len(program))(*(Instruction(*one) for one in program))
        self._program = _Program(len(program), ctypes.cast(self._instructions, ctypes.POINTER(Instruction)))
        self._address = ctypes.addressof(self._program)
        self._prctl = prctl()

    @classmethod
    def for_this_machine(cls) -> SystemCallFilter:
        """The filter for scripts; raises :class:`SeccompUnavailableError`."""
        if not sys.platform.startswith("linux"):
            raise SeccompUnavailableError(f"{sys.platform} has no seccomp; Linux is needed")
        if sys.maxsize < 2**32:
            raise SeccompUnavailableError("a 64-bit Python is needed")
        return cls(instructions(os.uname().machine))

    def install(self) -> None:
        """Filter this process from now on, for good."""
        if self._prctl(_PR_SET_SECCOMP, _MODE_FILTER, self._address, 0, 0):
            raise _failure("the kernel refused the filter of system calls")


def no_new_privileges() -> None:
    """No program that this process runs gains privileges: what an unprivileged filter presupposes."""
    if prctl()(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise _failure("the kernel refused no_new_privs")


@functools.cache
def prctl() -> ctypes._NamedFuncPointer:
    """The C function; arguments are passed as wide as the kernel reads them.

    It is made once: every process of a script would pay a quarter of a millisecond for one of its own.
    """
    function = ctypes.CDLL(None, use_errno=True).prctl
    function.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)
    function.restype = ctypes.c_int
    return function


def _failure(what: str) -> SeccompUnavailableError:
    return SeccompUnavailableError(f"{what} ({os.strerror(ctypes.get_errno())})")
