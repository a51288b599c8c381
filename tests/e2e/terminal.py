#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Runs a command on a terminal of its own and talks to it:
#     terminal.py COMMAND [ARGUMENT...] -- EXPECT [SEND EXPECT]...
# Waits for each EXPECT in what it prints, then types the next SEND. Prints all that was seen. Exits with the command's
# code; 98 if the terminal's settings are not as they were, 99 if an EXPECT does not come within 30 s.
import os
import pty
import select
import sys
import termios
import time

end = sys.argv.index("--")
command, talk = sys.argv[1:end], sys.argv[end + 1 :]
master, slave = pty.openpty()
before = termios.tcgetattr(slave)
pid = os.fork()
if pid == 0:
    os.setsid()
    for fd in (0, 1, 2):
        os.dup2(slave, fd)
    os.execvp(command[0], command)

seen = b""
start = 0


def read_until(text):
    global seen, start
    deadline = time.monotonic() + 30
    while text not in seen[start:]:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([master], [], [], left)[0]:
            sys.stdout.write(seen.decode(errors="replace") + f"\nnot seen: {text!r}\n")
            os.kill(pid, 9)
            sys.exit(99)
        seen += os.read(master, 65536)
    start = seen.index(text, start) + len(text)


for i, word in enumerate(talk):
    if i % 2:
        os.write(master, os.fsencode(word))
    else:
        read_until(os.fsencode(word))
_, status = os.waitpid(pid, 0)
sys.stdout.write(seen.decode(errors="replace") + "\n")
sys.exit(os.waitstatus_to_exitcode(status) if termios.tcgetattr(slave) == before else 98)
