# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""System calls made by another process's thread, as somebody would who has taken it over.

    with Intruder(pid) as thread:
        thread.call(39)             # getpid(2): what the kernel returns, -errno too

ptrace(2): the thread is stopped in the call that it waits in, made to make another one, and
goes on as if nothing had been. x86-64 only: AVAILABLE says whether.
"""
import ctypes
import os
import platform
import signal

AVAILABLE = platform.machine() == "x86_64"

PTRACE_CONT, PTRACE_SINGLESTEP = 7, 9
PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_PEEKTEXT = 12, 13, 1
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000
SYSCALL = 0x050f        # the instruction, two bytes
NAMES = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss "
         "fs_base gs_base ds es fs gs").split()

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in NAMES]


class Intruder:
    def __init__(self, tid):
        self.tid = tid

    def ptrace(self, request, address=0, data=0):
        ctypes.set_errno(0)
        result = libc.ptrace(request, self.tid, address, data)
        if result == -1 and ctypes.get_errno():
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "ptrace")
        return result

    def wait(self):
        pid, status = os.waitpid(self.tid, WALL)
        if not os.WIFSTOPPED(status):
            raise RuntimeError("thread %d has ended: %x" % (pid, status))
        return os.WSTOPSIG(status)

    def registers(self):
        registers = Registers()
        self.ptrace(PTRACE_GETREGS, 0, ctypes.addressof(registers))
        return registers

    def __enter__(self):
        self.ptrace(PTRACE_SEIZE)
        self.ptrace(PTRACE_INTERRUPT)
        self.wait()
        return self

    def __exit__(self, kind, value, trace):
        self.ptrace(PTRACE_DETACH)

    def call(self, number, *arguments):
        before = self.registers()
        at = before.rip - 2     # it waits in a call: just behind the instruction
        if self.ptrace(PTRACE_PEEKTEXT, at) & 0xffff != SYSCALL:
            raise RuntimeError("the thread is in no system call")
        made = Registers.from_buffer_copy(before)
        made.rip, made.rax, made.orig_rax = at, number, 2 ** 64 - 1
        for name, value in zip(("rdi", "rsi", "rdx", "r10", "r8", "r9"),
                               arguments + (0,) * (6 - len(arguments))):
            setattr(made, name, value & (2 ** 64 - 1))
        self.ptrace(PTRACE_SETREGS, 0, ctypes.addressof(made))
        try:
            while True:
                self.ptrace(PTRACE_SINGLESTEP)
                if self.wait() == signal.SIGTRAP:
                    break
            result = self.registers().rax
        finally:
            # the call that it was in is begun anew, by the kernel
            self.ptrace(PTRACE_SETREGS, 0, ctypes.addressof(before))
        return result - 2 ** 64 if result >= 2 ** 63 else result
