# SPDX-License-Identifier: Apache-2.0
"""A machine to break: what rigs in Python share. Everything below runs inside a sandbox (tests/lib/sandbox), beside
its libvirtd and journal; enter() gets a rig there.

sfd runs as under systemd: a notify socket with a watchdog that is listened to here, so that a rig can say for how
long it was not petted. Waits have a deadline, 60 s unless told, and say what they waited for.
"""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

TOP = os.environ.get('TOP') or os.path.realpath(f'{os.path.dirname(__file__)}/../..')
BUILD = os.environ.get('BUILD') or f'{TOP}/build'
SOCKET = '/run/sfd/sfd.sock'
STATE = '/var/lib/sfd'
API = '/apis/shakenfist.io/v1alpha1'
WATCHDOG = 15  # seconds, far fewer than in sfd.service: shorter than the long stops, sfd pets twice in it
now = time.monotonic


def enter(*options):
    """Begins the rig again inside a sandbox."""
    if not os.environ.get('SANDBOX'):
        argv = [f'{TOP}/tests/lib/sandbox', *options, '--', sys.executable, *sys.argv]
        os.execve(argv[0], argv, {**os.environ, 'TOP': TOP, 'BUILD': BUILD, 'PYTHONUNBUFFERED': '1'})


def row(figure, measured, of, goal, good):
    """A line of the table of hack/prove."""
    line = f'{figure}\t{measured}\t{of}\t{goal}\t{"pass" if good else "FAIL"}'
    print(f'{stamp()} {line}', flush=True)
    if os.environ.get('PROVE_ROWS'):
        with open(os.environ['PROVE_ROWS'], 'a', encoding='utf-8') as f:
            f.write(f'{line}\n')


STARTED = now()


def stamp():
    return f'[{now() - STARTED:6.1f}]'


def say(*words):
    print(stamp(), *words, flush=True)


def wait_for(what, condition, seconds=60):
    """Until condition() is true; how long that took."""
    began = now()
    while True:
        value = condition()
        if value:
            return now() - began
        if now() - began > seconds:
            raise TimeoutError(f'not within {seconds} s: {what}')
        time.sleep(0.01)


def p99(values):
    values = sorted(values)
    return values[min(len(values) - 1, len(values) * 99 // 100)] if values else 0


# ---- the API ---------------------------------------------------------------------------------------------------


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path=SOCKET, timeout=60):
        super().__init__('localhost', timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def request(method, path, body=None, kind='application/json', socket_path=SOCKET):
    """Status and decoded body, or None and the reason where nobody answers."""
    c = Connection(socket_path)
    try:
        c.request(method, path, None if body is None else json.dumps(body), {'Content-Type': kind})
        r = c.getresponse()
        text = r.read()
        return r.status, json.loads(text) if text[:1] in b'{[' else text.decode()
    except (OSError, http.client.HTTPException) as e:
        return None, str(e)
    finally:
        c.close()


def path_of(kind, name='', namespace='default'):
    core = {'configmaps', 'events', 'secrets', 'namespaces'}
    base = '/api/v1' if kind in core else API
    space = '' if kind in ('nodes', 'namespaces') or not namespace else f'/namespaces/{namespace}'
    return f'{base}{space}/{kind}{"/" + name if name else ""}'


def get(kind, name):
    code, body = request('GET', path_of(kind, name))
    return body if code == 200 else None


def listed(kind):
    code, body = request('GET', path_of(kind, namespace=''))
    if code != 200:
        raise RuntimeError(f'list {kind}: {code} {body}')
    return body['items']


def create(kind, name, spec, api='shakenfist.io/v1alpha1', **more):
    word = {'instances': 'Instance', 'networks': 'Network', 'images': 'Image', 'configmaps': 'ConfigMap'}[kind]
    body = {'apiVersion': api, 'kind': word, 'metadata': {'name': name}, **more}
    if spec is not None:
        body['spec'] = spec
    code, answer = request('POST', path_of(kind), body)
    if code != 201:
        raise RuntimeError(f'create {kind} {name}: {code} {answer}')
    return answer


def patch(kind, name, body):
    return request('PATCH', path_of(kind, name), body, 'application/merge-patch+json')


def delete(kind, name):
    return request('DELETE', path_of(kind, name))


def gone(kind, name):
    return request('GET', path_of(kind, name))[0] == 404


def status(kind, name):
    return (get(kind, name) or {}).get('status', {})


def word(name):
    return status('instances', name).get('printableStatus', '')


def condition(kind, name, type_):
    for c in status(kind, name).get('conditions', []):
        if c['type'] == type_:
            return c
    return {}


def bare(**more):
    """An instance that starts at once: no image, no network, nothing to boot, nobody to hear a request to stop."""
    return {'memory': '64Mi', 'terminationGracePeriodSeconds': 0, 'disks': [{'name': 'root', 'size': '1Mi'}],
            'interfaces': [], **more}


def on(network, **more):
    return bare(interfaces=[{'name': 'eth0', 'network': network}], **more)


def network(cidr):
    return {'cidrs': [cidr], 'dns': {'domain': 'lab.internal'}}


def running(name):
    return word(name) == 'Running'


def ready(kind, name):
    return condition(kind, name, 'Ready').get('status') == 'True'


# ---- processes -------------------------------------------------------------------------------------------------


def read(path):
    try:
        with open(path, encoding='utf-8', errors='replace') as f:
            return f.read()
    except OSError:
        return ''


def qemu(name):
    pid = read(f'/run/libvirt/qemu/default.{name}.pid').strip()
    return int(pid) if pid else 0


def processes(*words):
    """PIDs whose command line has all of the words."""
    found = []
    for pid in os.listdir('/proc'):
        if pid.isdigit():
            line = read(f'/proc/{pid}/cmdline').replace('\0', ' ')
            if line and all(w in line for w in words):
                found.append(int(pid))
    return sorted(found)


def dnsmasq(name):
    found = processes(f'--conf-file=/run/sfd/net/{get("networks", name)["metadata"]["uid"]}/')
    return found[0] if len(found) == 1 else 0


def send(pid, sig):
    os.kill(pid, sig)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return 'Z' not in read(f'/proc/{pid}/stat').rpartition(')')[2][:3]


def service(verb, name):
    """A word of tests/lib/services.bash."""
    return subprocess.run(['bash', '-c', f'. "{TOP}/tests/lib/services.bash"; service_{verb} {name}'],
                          check=False).returncode == 0


def invariants(*options):
    """Lines of tests/prove/invariants: none where all agrees."""
    p = subprocess.run([f'{TOP}/tests/prove/invariants', *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       check=False)
    lines = p.stdout.decode().splitlines()
    return lines if p.returncode and lines else [] if not p.returncode else [f'invariants ended with {p.returncode}']


def store_copy(directory, state=STATE):
    """The store's files as they were at one moment: sfd holds its lock, so a copy is read, made while nothing wrote."""
    names = ['store.db', 'store.db-wal']

    def stamp():
        out = []
        for n in names:
            try:
                s = os.stat(os.path.join(state, 'store', n))
                out.append((s.st_mtime_ns, s.st_size))
            except FileNotFoundError:
                out.append(None)
        return out

    deadline = now() + 30
    while now() < deadline:
        before = stamp()
        if before[0] is None:
            raise OSError(f'no store in {state}')
        for n, s in zip(names, before):
            target = os.path.join(directory, n)
            if s:
                shutil.copyfile(os.path.join(state, 'store', n), target)
            elif os.path.exists(target):
                os.unlink(target)
        if stamp() == before:
            return os.path.join(directory, names[0])
    raise OSError('the store is written to without a pause')


# ---- sfd -------------------------------------------------------------------------------------------------------


class Sfd:
    def __init__(self, *options):
        self.options = options
        self.pid = 0
        self.pets = 0  # how often the watchdog was petted
        self.gap = 0.0  # the longest time without a pet while it ran
        self._last = None  # the last sign of life; none before it is ready and after it was ended
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind('/run/sandbox/notify')
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            text = self._notify.recv(4096).decode(errors='replace')
            if 'WATCHDOG=1' in text:
                self.pets += 1
            if 'WATCHDOG=1' in text or 'READY=1' in text:
                self.gap, self._last = self.unpetted(), now()

    def unpetted(self):
        """The longest time that the watchdog waited so far, in seconds, with the wait that is not over."""
        last = self._last
        return max(self.gap, now() - last) if last else self.gap

    def start(self, wait=True, options=None):
        env = {**os.environ, 'NOTIFY_SOCKET': '/run/sandbox/notify', 'WATCHDOG_USEC': str(WATCHDOG * 1000000)}
        script = ('echo $$ >/run/sandbox/sfd.pid; JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "$@"')
        if os.path.exists('/run/sandbox/sfd.pid'):
            os.unlink('/run/sandbox/sfd.pid')
        argv = [f'{BUILD}/sfd', '--virt-type', 'qemu', '--image-allow-loopback',
                *(self.options if options is None else options)]
        subprocess.run(['setsid', '-f', 'systemd-cat', '-t', 'sfd', 'bash', '-c', script, '-', *argv], env=env,
                       stdin=subprocess.DEVNULL, check=True)
        wait_for('sfd to begin', lambda: read('/run/sandbox/sfd.pid').strip())
        self.pid = int(read('/run/sandbox/sfd.pid'))
        if wait:
            wait_for('sfd to be ready', self.is_ready)

    @staticmethod
    def is_ready():
        return request('GET', '/readyz')[0] == 200

    def end(self, sig=signal.SIGTERM):
        self.gap, self._last = self.unpetted(), None  # whoever starts next is waited for from its READY on
        send(self.pid, sig)
        wait_for('sfd to end', lambda: not alive(self.pid))

    def kill(self):
        self.end(signal.SIGKILL)

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.pid}/fd'))

    def threads(self):
        return len(os.listdir(f'/proc/{self.pid}/task'))

    def private(self):
        """Bytes of memory that are its alone."""
        return sum(int(line.split()[1]) * 1024 for line in read(f'/proc/{self.pid}/smaps_rollup').splitlines()
                   if line.startswith('Private_'))


class Probe:
    """A client that asks for one object without a pause, on one connection, and remembers how long each answer took. A
    request without an answer counts with the time that was waited for it, and the one under way with its time so far."""

    def __init__(self, path, pause=0.01):
        self.path, self.pause = path, pause
        self._samples = []  # (when, seconds, answered)
        self._began = None  # when the request under way was sent
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        c = Connection(timeout=30)
        while not self._stop.wait(self.pause):
            with self._lock:
                self._began = now()
            try:
                c.request('GET', self.path)
                answer = c.getresponse()
                answer.read()
                good = answer.status == 200
            except (OSError, http.client.HTTPException):
                good = False
            with self._lock:
                self._samples.append((self._began, now() - self._began, good))
                self._began = None
            if not good:
                c.close()
                c = Connection(timeout=30)

    def between(self, begin, end):
        """(seconds, answered) of what was sent meanwhile."""
        with self._lock:
            under_way = [(self._began, now() - self._began, True)] if self._began else []
            return [(s, good) for t, s, good in self._samples + under_way if begin <= t <= end]

    def stop(self):
        self._stop.set()
        self._thread.join()
