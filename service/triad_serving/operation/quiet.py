"""Silence where libraries would speak of broken media: what is wrong with them is told to the client."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import sys
import warnings


def quiet_libraries() -> None:
    """For this whole process, from now on.

    Pillow warns, and Python remembers the text of every warning it has shown, for ever. libmpg123, within
    libsndfile, writes to C's `stderr`, up to millions of lines for one file, and soundfile cannot stop it: on
    Linux that stream goes nowhere. File descriptor 2 stays what it was, for Python's own stderr and for the C
    library's last words; faulthandler says there where a process crashed.
    """
    warnings.filterwarnings("ignore", module="PIL")
    faulthandler.enable()
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.fopen.restype = ctypes.c_void_p
        ctypes.c_void_p.in_dll(libc, "stderr").value = libc.fopen(os.devnull.encode(), b"w")
