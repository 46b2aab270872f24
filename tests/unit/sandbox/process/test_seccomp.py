"""The filter, as the kernel would read it, on every machine it knows."""

from __future__ import annotations

import pytest

from workers.sandbox.process import seccomp

ALLOW, KILL, EACCES = 0x7FFF0000, 0x80000000, 0x00050000 | 13
X86, ARM = 0xC000003E, 0xC00000B7


def verdict(machine: str, number: int, third: int = 0, audit: int | None = None) -> int:
    """Run the program over one call, as the kernel's interpreter of classic BPF does."""
    program = seccomp.instructions(machine)
    words = {0: number, 4: audit or {"x86_64": X86, "aarch64": ARM}[machine], 32: third & 0xFFFFFFFF}
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, value = program[at]
        at += 1
        if code == 0x20:
            accumulator = words[value]
        elif code == 0x06:
            return value
        else:
            true = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: accumulator & value != 0}[
                code
            ]
            at += if_true if true else if_false


ALLOWED = {
    "x86_64": {11, 12, 24, 25, 28, 39, 44, 45, 60, 96, 186, 201, 202, 219, 228, 229, 231, 318},
    "aarch64": {93, 94, 98, 113, 114, 124, 128, 169, 172, 178, 206, 207, 214, 215, 216, 233, 278},
}
MAPPING = {"x86_64": {9, 10}, "aarch64": {222, 226}}
REFUSED = {"x86_64": {2, 257}, "aarch64": {56}}
machines = pytest.mark.parametrize("machine", ["x86_64", "aarch64"])


@machines
def test_only_what_is_listed_is_allowed(machine: str) -> None:
    found: dict[int, set[int]] = {}
    for number in range(1024):
        found.setdefault(verdict(machine, number), set()).add(number)

    assert found[ALLOW] == ALLOWED[machine] | MAPPING[machine]
    assert found[EACCES] == REFUSED[machine]
    assert set(found) == {ALLOW, EACCES, KILL}


@machines
def test_memory_is_mapped_unless_executable(machine: str) -> None:
    for number in MAPPING[machine]:
        for protection in range(4):
            assert verdict(machine, number, protection) == ALLOW
            assert verdict(machine, number, protection | 4) == KILL
            assert verdict(machine, number, protection | 4 | 0x01000000) == KILL


@machines
def test_calls_of_another_machine_are_killed(machine: str) -> None:
    for number in ALLOWED[machine]:
        assert verdict(machine, number, audit=0x40000003) == KILL


def test_the_numbers_of_x32_are_killed() -> None:
    for number in ALLOWED["x86_64"] | MAPPING["x86_64"]:
        assert verdict("x86_64", number | 0x40000000) == KILL


def test_an_unknown_machine_has_no_filter() -> None:
    with pytest.raises(seccomp.SeccompUnavailableError, match="no filter for the machine type 'riscv64'"):
        seccomp.instructions("riscv64")
