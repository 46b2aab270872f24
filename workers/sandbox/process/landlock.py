"""A second wall, where the kernel has it: no file, no TCP, no signal to anyone outside.

It holds for the zygote and all its children. The filter of system calls denies the same to scripts; were it
to fail, this stands.
"""

from __future__ import annotations

import ctypes
import os

# The same numbers on all machines.
_CREATE_RULESET, _RESTRICT_SELF = 444, 446
_CREATE_RULESET_VERSION = 1

#: The file rights that a version of the interface knows, as the number of bits from the lowest.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
_NETWORK_SINCE, _BIND_AND_CONNECT_TCP = 4, 0b11
_SCOPES_SINCE, _ABSTRACT_SOCKETS_AND_SIGNALS = 6, 0b11


class _Ruleset(ctypes.Structure):
    """``struct landlock_ruleset_attr``."""

    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scopes", ctypes.c_uint64),
    )


def restrict() -> int:
    """Deny this process all that Landlock can deny; needs no_new_privs.

    Returns the version of the interface, 0 where there is none: it is a second wall, not the first.
    """
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    syscall.restype = ctypes.c_long
    word = ctypes.c_ulong
    version = int(syscall(word(_CREATE_RULESET), None, word(0), word(_CREATE_RULESET_VERSION)))
    if version < 1:
        return 0
    rules = _Ruleset(files=(1 << max(bits for since, bits in _FILE_RIGHTS.items() if since <= version)) - 1)
    size = 8
    if version >= _NETWORK_SINCE:
        rules.network, size = _BIND_AND_CONNECT_TCP, 16
    if version >= _SCOPES_SINCE:
        rules.scopes, size = _ABSTRACT_SOCKETS_AND_SIGNALS, 24
    ruleset = int(syscall(word(_CREATE_RULESET), ctypes.byref(rules), word(size), word(0)))
    if ruleset < 0:
        return 0
    try:
        return 0 if syscall(word(_RESTRICT_SELF), word(ruleset), word(0)) else version
    finally:
        os.close(ruleset)
