# SPDX-License-Identifier: Apache-2.0
"""What sfctl ssh hands to ssh when its strings are hostile: python3 ssh.py SFCTL SERVER COUNT SEED, in an empty folder.
An ssh that notes what it was given stands in for the real one. Each case gives all of it: the user, the interface of the
ProxyCommand, which ssh gives to a shell, and the command. Prints "good<TAB>tried<TAB>ran", ran being those in which ssh
was reached."""

import json
import os
import random
import subprocess
import sys

PIECES = [b"-", b"--", b"-oProxyCommand=touch pwned", b"$(touch pwned)", b"`touch pwned`", b";touch pwned;", b"|touch pwned",
          b"&touch pwned&", b"\n", b"\ntouch pwned\n", b"\r", b"\t", b"'", b"\"", b"'touch pwned'", b"\\", b"%h", b"%%", b"%",
          b"%n%p%r", b"$HOME", b"${IFS}", b"*", b"?", b"~", b"#", b"!", b"{a,b}", b"<pwned", b">pwned", b"../", b"/", b" ",
          b"=", b":", b",", b"\x1b[31m", b"\x01", b"\x7f", b"\xc3\xa9", b"\xf0\x9f\x98\x80", b"\xe2\x80\xae", b"a", b"web",
          b"root", b"0"]
NAMES = ["-oProxyCommand=touch pwned", "$(touch pwned)", "`touch pwned`", "x;touch pwned", "x|touch pwned", "../web", "--", "-",
         "x\ntouch pwned", "web -oProxyCommand=touch", "web'", "web%n", "WEB", "web/console", ""]


def hostile(rng):
    return b"".join(rng.choice(PIECES) for _ in range(rng.randrange(1, 7)))


class Ssh:
    def __init__(self, sfctl, server):
        self.argv = [sfctl, "--server", server, "ssh"]
        self.sfctl, self.server = sfctl, server
        os.mkdir("bin")
        with open("bin/ssh", "w", encoding="ascii") as f:
            f.write("#!/bin/sh\nprintf '%s\\0' \"$@\" >\"$NOTE\"\n")
        os.chmod("bin/ssh", 0o755)
        self.note = os.path.abspath("given")
        self.env = {**os.environ, "PATH": os.path.abspath("bin") + ":" + os.environ["PATH"], "NOTE": self.note}
        self.said = b""

    def run(self, *words):
        """What ssh was given; None if it was not run."""
        if os.path.exists(self.note):
            os.unlink(self.note)
        r = subprocess.run([*self.argv, *words], env=self.env, capture_output=True, stdin=subprocess.DEVNULL, timeout=60,
                           check=False)
        self.said = r.stdout + r.stderr
        if not os.path.exists(self.note):
            return None
        with open(self.note, "rb") as f:
            return f.read().split(b"\0")[:-1]

    def proxy(self, option):
        """The words of a ProxyCommand, by the shell that would run it, after ssh has put its %% right."""
        head, command = option[:13], option[13:]
        if head != b"ProxyCommand=" or b"%" in command.replace(b"%%", b""):
            return None
        return subprocess.run([b"sh", b"-c", b"printf '%s\\0' " + command.replace(b"%%", b"%")], stdout=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, timeout=60, check=False).stdout.split(b"\0")[:-1]

    def want(self, uid, user, interface, command):
        """All of what ssh is to be given, but for the ProxyCommand, and the end of that one's words."""
        argv = [b"-o", None, b"-o", b"HostKeyAlias=%s.sfd" % uid, b"-o", b"StrictHostKeyChecking=accept-new"]
        argv += [b"-l", user] if user is not None else []
        proxy = [self.sfctl.encode(), b"--server", self.server.encode(), b"--namespace", b"default", b"port-forward"]
        proxy += [b"--interface", interface] if interface is not None else []
        return argv + [b"--", b"web", *command], proxy + [b"--stdio", b"22", b"--", b"web"]

    def right(self, got, *meant):
        argv, proxy = self.want(*meant)
        if not got or len(got) < 2 or os.path.exists("pwned"):
            return False
        return got[:1] + [None] + got[2:] == argv and self.proxy(got[1]) == proxy and not os.path.exists("pwned")


def main(sfctl, server, count, seed):
    rng, ssh = random.Random(seed), Ssh(sfctl, server)
    uid = json.loads(subprocess.run([sfctl, "--server", server, "get", "instance", "web", "-o", "json"], check=True,
                                    stdout=subprocess.PIPE).stdout)["metadata"]["uid"].encode()
    if not ssh.right(ssh.run(b"root@web", b"--", b"uptime"), uid, b"root", None, [b"uptime"]):
        sys.exit("an honest one was not handed over: %r" % ssh.said)
    good = tried = ran = 0

    def case(words, *meant):
        nonlocal good, tried, ran
        got = ssh.run(*words)
        fine = ssh.right(got, uid, *meant) if meant else got is None and not os.path.exists("pwned")
        tried, ran, good = tried + 1, ran + (got is not None), good + fine
        if not fine:
            print("FAILED: sfctl ssh %r: ssh was given %r: %r" % (words, got, ssh.said))
            if os.path.exists("pwned"):
                os.unlink("pwned")

    for i in range(count):
        user, interface, command = hostile(rng), hostile(rng), [hostile(rng), hostile(rng)]
        # A user before "@" must not look like an option of sfctl itself.
        if i % 2 and user[:1] != b"-":
            case([user + b"@web", b"--interface=" + interface, b"--", *command], user, interface, command)
        else:
            case([b"--user=" + user, b"--interface=" + interface, b"web", b"--", *command], user, interface, command)
    # No instance can have such a name, so none of these gets as far as ssh.
    for name in NAMES:
        case(["root@" + name, "--", "true"])
    print("%d\t%d\t%d" % (good, tried, ran))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
