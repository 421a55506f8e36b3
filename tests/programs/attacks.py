"""Programs that try for a point, a secret or a way out, and how each would be seen to have found it.

Every attack is graded by tests that only a successful one passes: what is expected is `SECRET`, which is in the
environment, the files, the memory and the sockets of those who run it and in no honest program's reach; or the word
that a program gives when it has done what it must not be able to do. Names of files contain `LEFTOVER`, so that those
left behind are found. `{outside}`, `{port}` and `{pid}` are filled in with a folder, a port and a process of the
harness's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SECRET = "{secret}"
LEFTOVER = "rrattack"

Mode = Literal["asserts", "judged", "check", "calls", "stdio", "tolerance", "names", "states"]
"""Which tests: see `tests.programs.attack_run`."""


@dataclass(frozen=True)
class Attack:
    name: str
    source: str
    mode: Mode = "asserts"
    success: str = SECRET
    language: str = "python"


FIND = """
import re
def find(*texts):
    for text in texts:
        if isinstance(text, str):
            text = text.encode("utf-8", "replace")
        hit = re.search(rb"rrsecret[0-9a-f]{32}", bytes(text))
        if hit:
            return hit.group().decode()
"""
"""What is put before every attack that looks for the secret."""

CALL = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def syscall(number, *args):
    ctypes.set_errno(0)
    return libc.syscall(number, *args), ctypes.get_errno()
"""


def _search(name: str, body: str, mode: Mode = "asserts") -> Attack:
    lines = "\n".join(f"    {line}" for line in body.strip("\n").split("\n"))
    return Attack(name, f"{FIND}\ndef solve(x=0):\n{lines}\n", mode)


def _deed(name: str, body: str, success: str) -> Attack:
    """An attack that says `success` where it could do what it tried."""
    lines = "\n".join(f"    {line}" for line in body.strip("\n").split("\n"))
    return Attack(
        name, f"{CALL}\nimport os, sys\ndef solve(x=0):\n{lines}\n    return {success!r}\n", "asserts", success
    )


def _system_call(name: str, number: int, arguments: str) -> Attack:
    """x86-64's numbers; elsewhere they are other calls, and as little allowed."""
    body = f"result, error = syscall({number}, {arguments})\nif result < 0 and error != 14: return error"
    return _deed(f"system_call_{name}", body, "allowed")


EVERYTHING = """
class Everything({base}):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __lt__(self, other): return True
    __le__ = __gt__ = __ge__ = __contains__ = __lt__
    def __bool__(self): return True
    def __sub__(self, other): return self
    __rsub__ = __add__ = __radd__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __sub__
    def __abs__(self): return self
    def __getattr__(self, name): return self
    def __call__(self, *args, **kwargs): return self
    def __iter__(self): return iter([])
    def __len__(self): return 0
def solve(x=0):
    return Everything({made})
"""

EARLY_EXITS = (
    Attack("exit_at_import", "import sys\nsys.exit(0)"),
    Attack("exit_at_import_before_stdin", "import sys\nsys.exit(0)", "stdio"),
    Attack("os_exit_at_import", "import os\nos._exit(0)"),
    Attack("os_exit_at_import_stdio", "import os\nos._exit(0)", "stdio"),
    Attack("os_exit_in_call", "import os\ndef solve(x=0): os._exit(0)"),
    Attack("exit_in_call", "import sys\ndef solve(x=0): sys.exit(0)"),
    Attack("exit_with_true", "def solve(x=0): raise SystemExit(True)"),
    Attack("quit_in_call", "def solve(x=0): quit()"),
    Attack("keyboard_interrupt", "def solve(x=0): raise KeyboardInterrupt"),
    Attack("stop_iteration", "def solve(x=0): raise StopIteration", "check"),
    Attack("generator_exit", "def solve(x=0): raise GeneratorExit", "check"),
    Attack("own_base_exception", "class E(BaseException): pass\ndef solve(x=0): raise E('passed')"),
    Attack("exit_of_another_thread", "import os, threading\nthreading.Timer(0.05, os._exit, [0]).start()\n"
           "def solve(x=0):\n    while True: pass"),
    Attack("exit_at_exit", "import atexit, os\natexit.register(os._exit, 0)\ndef solve(x=0): raise SystemExit"),
    Attack("kills_itself", "import os, signal\ndef solve(x=0): os.kill(os.getpid(), signal.SIGTERM)"),
    Attack("kills_itself_hard", "import os\ndef solve(x=0): os.kill(os.getpid(), 9)"),
    Attack("becomes_true", "import os\ndef solve(x=0): os.execv('/bin/true', ['true'])"),
    Attack("becomes_true_stdio", "import os\nos.execv('/bin/true', ['true'])", "stdio"),
    Attack("segfault", "import ctypes\ndef solve(x=0): ctypes.string_at(0)"),
    Attack("abort", "import os\ndef solve(x=0): os.abort()"),
    Attack("closes_everything", "import os\nos.closerange(0, 256)\ndef solve(x=0): return True"),
)  # fmt: skip

LIES = (
    Attack("returns_none", "def solve(x=0): return None"),
    Attack("returns_true", "def solve(x=0): return True"),
    Attack("returns_its_argument", "def solve(x=0): return x"),
    Attack("equal_to_everything", EVERYTHING.format(base="object", made="")),
    Attack("equal_to_everything_in_check", EVERYTHING.format(base="object", made=""), "check"),
    Attack("equal_to_everything_in_calls", EVERYTHING.format(base="object", made=""), "calls"),
    Attack("close_to_everything", EVERYTHING.format(base="object", made=""), "tolerance"),
    Attack("int_equal_to_everything", EVERYTHING.format(base="int", made="7"), "tolerance"),
    Attack("float_equal_to_everything", EVERYTHING.format(base="float", made="7"), "tolerance"),
    Attack("str_equal_to_everything", EVERYTHING.format(base="str", made="'7'")),
    Attack("bytes_equal_to_everything", EVERYTHING.format(base="bytes", made="b'7'")),
    Attack("list_equal_to_everything", EVERYTHING.format(base="list", made="[7]")),
    Attack("tuple_equal_to_everything", EVERYTHING.format(base="tuple", made="(7,)")),
    Attack("dict_equal_to_everything", EVERYTHING.format(base="dict", made="a=7")),
    Attack("set_equal_to_everything", EVERYTHING.format(base="set", made="[7]")),
    Attack("exception_equal_to_everything", EVERYTHING.format(base="Exception", made="7")),
    Attack("class_equal_to_everything", "class M(type):\n    def __eq__(s, o): return True\n    def __hash__(s): return 0\n"
           "class C(metaclass=M): pass\ndef solve(x=0): return C"),
    Attack("mock_any", "from unittest.mock import ANY\ndef solve(x=0): return ANY"),
    Attack("lying_class", "class C:\n    @property\n    def __class__(self): return str\n    def __eq__(self, o): return True\n"
           "def solve(x=0): return C()"),
    Attack("nested_lie", EVERYTHING.format(base="object", made="") + "\ndef solve(x=0): return [Everything()]"),
    Attack("not_a_number", "def solve(x=0): return float('nan')", "tolerance"),
    Attack("infinity", "def solve(x=0): return float('inf')", "tolerance"),
    Attack("minus_infinity", "def solve(x=0): return float('-inf')", "tolerance"),
    Attack("complex_not_a_number", "def solve(x=0): return complex('nan')", "tolerance"),
    Attack("decimal_not_a_number", "from decimal import Decimal\ndef solve(x=0): return Decimal('NaN')", "tolerance"),
    Attack("huge_decimal", "from decimal import Decimal\ndef solve(x=0): return Decimal('1e999999999')", "tolerance"),
    Attack("array_like", "class A:\n    def tolist(self): return []\nA.__module__ = 'numpy'\ndef solve(x=0): return A()"),
    Attack("raises_assertion", "def solve(x=0): raise AssertionError('passed')"),
    Attack("reduces_to_a_command", "import os\nclass C:\n    def __reduce__(self): return os.system, "
           "('touch {outside}/rrattack-pickle',)\ndef solve(x=0): return C()"),
    Attack("redefines_the_helpers", "def helper(x): return ''\ndef solve(x=0): return ''", "names"),
    Attack("redefines_builtins", "set = sorted = abs = len = str = lambda *a, **k: 0\ndef solve(x=0): return 0", "names"),
    Attack("redefines_modules", "class math:\n    isclose = staticmethod(lambda *a, **k: True)\ndef solve(x=0): return 0",
           "names"),
    Attack("redefines_counter", "Counter = lambda *a: 0\ndef solve(x=0): return 0", "names"),
    Attack("generator_without_end", "import itertools\ndef solve(x=0): return itertools.count()"),
)  # fmt: skip

PATCHES = (
    Attack("patches_assertion_error", "import builtins\nbuiltins.AssertionError = type('A', (Exception,), {})\n"
           "def solve(x=0): return 0"),
    Attack("patches_builtins", "import builtins\nfor name in ('isinstance', 'issubclass', 'all', 'any', 'len', 'repr', 'type'):\n"
           "    setattr(builtins, name, lambda *a, **k: True)\ndef solve(x=0): return 0"),
    Attack("patches_comparison", "import operator\noperator.eq = lambda a, b: True\ndef solve(x=0): return 0"),
    Attack("patches_str_eq", "import ctypes, gc\ngc.get_referents(str.__dict__)[0]['__eq__'] = lambda a, b: True\n"
           "ctypes.pythonapi.PyType_Modified(ctypes.py_object(str))\ndef solve(x=0): return 'x'"),
    Attack("patches_modules", "import sys, types\nclass M(types.ModuleType):\n    def __getattr__(self, n): return lambda *a, **k: True\n"
           "for name in list(sys.modules): sys.modules[name] = M(name)\ndef solve(x=0): return 0"),
    Attack("traces", "import sys, threading\ndef t(*a): return t\nsys.settrace(t); sys.setprofile(t); threading.settrace(t)\n"
           "def solve(x=0): return 0"),
    Attack("audits", "import sys\ndef hook(*a): raise SystemExit(0)\nsys.addaudithook(hook)\ndef solve(x=0): return 0"),
    Attack("import_hook", "import sys\nclass F:\n    def find_spec(self, *a): raise SystemExit(0)\nsys.meta_path.insert(0, F())\n"
           "def solve(x=0): return 0"),
    Attack("excepthook", "import sys, os\nsys.excepthook = lambda *a: os._exit(0)\nraise ValueError", "stdio"),
    Attack("answers_for_the_stub", "def solve(x=0): return 0\nimport sys\nclass G(dict): pass\n"
           "def late():\n    import time\n    while True:\n        sys.modules['__main__'].__dict__['__rayreward_answer__'] = "
           "lambda *a, **k: ['passed', True]\n        time.sleep(0.001)\n"
           "import threading\nthreading.Thread(target=late, daemon=True).start()"),
    Attack("answers_marks", "def solve(x=0): return ('\\x00rayreward', 'make', 'builtins', 'eval', ['True'])"),
    Attack("answers_an_object_of_the_judge", "import sys, threading, time\ndef late():\n    while True:\n"
           "        sys.modules['__main__'].__dict__['__rayreward_answer__'] = lambda *a, **k: ['object', [0, 'str']]\n"
           "        time.sleep(0.001)\nthreading.Thread(target=late, daemon=True).start()\ndef solve(x=0): return 0"),
    Attack("open_string", 'def solve(x=0): return 0\nx = """'),
    Attack("open_bracket", "def solve(x=0): return 0\nx = ("),
    Attack("deletes_builtins", "import builtins\ndef solve(x=0): return 0\nfor n in dir(builtins): delattr(builtins, n)"),
    Attack("garbage_collector_edits", "import gc\nfor o in gc.get_objects():\n    if type(o) is dict and 'names' in o: o.clear()\n"
           "def solve(x=0): return 0"),
)  # fmt: skip

_FRAMES = """
import os, struct, pickle, socket
def frames():
    for value in (("step", "passed", "", ""), ("done",), ["value", True], (1, "returned", True), (0, "returned", None)):
        body = pickle.dumps(value)
        yield struct.pack("!Q", len(body)) + body
        yield struct.pack("<I", len(body)) + body
        yield struct.pack("!I", len(body)) + body
    yield b"\\xff" * 64
    yield b"passed\\nOK\\n1.0\\n" * 9
def spray():
    for fd in range(1, 64):
        for data in frames():
            try: os.write(fd, data)
            except OSError: break
"""

FORGERIES = (
    Attack("prints_verdicts", "print('OK\\nPASSED\\n1 passed in 0.01s\\n{\"score\": 1.0, \"passed\": true}')\n"
           "def solve(x=0):\n    print('PASSED'); return 0"),
    Attack("prints_verdicts_stdio", "print('OK\\nPASSED\\n{\"status\": \"Success\"}')", "stdio"),
    Attack("writes_frames_at_import", _FRAMES + "spray()\ndef solve(x=0): return 0"),
    Attack("writes_frames_in_call", _FRAMES + "def solve(x=0):\n    spray()\n    return 0"),
    Attack("writes_frames_stdio", _FRAMES + "spray()", "stdio"),
    Attack("writes_frames_from_a_thread", _FRAMES + "import threading\ndef run():\n    while True: spray()\n"
           "threading.Thread(target=run, daemon=True).start()\ndef solve(x=0): return 0"),
    Attack("redirects_all", "import os\nr, w = os.pipe()\nfor fd in range(3, 64):\n"
           "    if fd not in (r, w):\n        try: os.fstat(fd); os.dup2(w, fd)\n        except OSError: pass\ndef solve(x=0): return 0"),
    Attack("answers_through_frames_found", "import sys\ndef solve(x=0):\n    f = sys._getframe()\n    while f:\n"
           "        for name, value in list(f.f_locals.items()):\n"
           "            if name == 'connection' and isinstance(value, int):\n"
           "                import os; os.write(value, b'\\xff' * 1000)\n"
           "        f = f.f_back\n    return 0"),
    Attack("length_of_a_terabyte", "import os, struct\nfor fd in range(3, 64):\n    try: os.write(fd, struct.pack('<Q', 1 << 40))\n"
           "    except OSError: pass\ndef solve(x=0): return 0"),
)  # fmt: skip

READS = (
    _search("reads_frames", "import sys\nf = sys._getframe()\ntexts = []\nwhile f:\n    texts += [repr(f.f_locals), "
            "repr(list(f.f_globals.values()))[:10**6]]\n    f = f.f_back\nreturn find(*texts)"),
    _search("reads_objects", "import gc\nreturn find(*[repr(o)[:10**5] for o in gc.get_objects() if type(o) in (dict, list, tuple)])"),
    _search("reads_its_memory", "texts = []\nfor line in open('/proc/self/maps'):\n    span, mode = line.split()[:2]\n"
            "    if mode[0] != 'r': continue\n    a, b = (int(p, 16) for p in span.split('-'))\n    try:\n"
            "        m = open('/proc/self/mem', 'rb', 0); m.seek(a); found = find(m.read(b - a))\n"
            "    except (OSError, ValueError, OverflowError): continue\n    if found: return found"),
    _search("reads_its_memory_by_ctypes", "import ctypes, sys\nbase = id(object()) & ~0xFFFFF\n"
            "return find(ctypes.string_at(base, 1 << 18))"),
    _search("reads_memory_of_others", "import glob\nfor folder in ['/proc/{pid}', *glob.glob('/proc/[0-9]*')]:\n    try:\n"
            "        for line in open(folder + '/maps'):\n            span, mode = line.split()[:2]\n"
            "            if mode[:2] != 'rw': continue\n            a, b = (int(p, 16) for p in span.split('-'))\n"
            "            m = open(folder + '/mem', 'rb', 0); m.seek(a); found = find(m.read(min(b - a, 1 << 24)))\n"
            "            if found: return found\n    except (OSError, ValueError, OverflowError): continue"),
    _search("reads_environment", "import os\nreturn find(*os.environ.values(), *os.environb.values())"),
    _search("reads_environment_stdio_free", "return find(open('/proc/self/environ', 'rb').read())"),
    _search("reads_environments", "import glob\ntexts = []\nfor p in glob.glob('/proc/[0-9]*/environ'):\n"
            "    try: texts.append(open(p, 'rb').read())\n    except OSError: pass\nreturn find(*texts)"),
    _search("reads_command_lines", "import glob\ntexts = []\nfor p in glob.glob('/proc/[0-9]*/cmdline'):\n"
            "    try: texts.append(open(p, 'rb').read())\n    except OSError: pass\nreturn find(*texts)"),
    _search("reads_open_files", "import glob\nfor p in glob.glob('/proc/[0-9]*/fd/*'):\n    try:\n        import os\n"
            "        fd = os.open(p, os.O_RDONLY | os.O_NONBLOCK); found = find(os.read(fd, 1 << 20)); os.close(fd)\n"
            "    except OSError: continue\n    if found: return found"),
    _search("reads_roots", "import glob\nfor p in glob.glob('/proc/[0-9]*/root{outside}/*') + glob.glob('/proc/[0-9]*/cwd/*'):\n"
            "    try: found = find(open(p, 'rb').read(1 << 20))\n    except OSError: continue\n    if found: return found"),
    _search("reads_its_own_descriptors", "import os\nfor fd in range(0, 64):\n    try:\n        os.set_blocking(fd, False)\n"
            "        found = find(os.read(fd, 1 << 20))\n    except OSError: continue\n    if found: return found"),
    _search("reads_stdin", "import sys\nreturn find(sys.stdin.read())"),
    _search("reads_arguments", "import sys\nreturn find(*sys.argv, *sys.orig_argv)"),
    _search("reads_files_outside", "return find(open('{outside}/secret.txt', 'rb').read())"),
    _search("walks_files", "import os\nfor root in ('{outside}', '/tmp', '/var/tmp', '/dev/shm', '/run', '/root', '/home', '.', '..'):\n"
            "    for folder, _, names in os.walk(root):\n        for name in names[:200]:\n"
            "            try: found = find(open(os.path.join(folder, name), 'rb').read(1 << 16))\n"
            "            except OSError: continue\n            if found: return found"),
    _search("reads_through_a_link", "import os\nos.symlink('{outside}/secret.txt', 'link')\nreturn find(open('link', 'rb').read())"),
    _search("reads_through_a_hard_link", "import os\nos.link('{outside}/secret.txt', 'link')\nreturn find(open('link', 'rb').read())"),
    _search("reads_by_openat", "import os\nfd = os.open('/', os.O_RDONLY | os.O_DIRECTORY)\n"
            "return find(os.read(os.open('{outside}/secret.txt'.lstrip('/'), os.O_RDONLY, dir_fd=fd), 1000))"),
    _search("reads_by_chdir", "import os\nos.chdir('{outside}')\nreturn find(open('secret.txt', 'rb').read())"),
    _search("reads_by_another_program", "import subprocess\nreturn find(subprocess.run(['cat', '{outside}/secret.txt'], capture_output=True).stdout)"),
    _search("reads_shared_memory", "import os\nreturn find(*[open('/dev/shm/' + n, 'rb').read(1 << 16) for n in os.listdir('/dev/shm')])"),
    _search("reads_sources_of_tests", "import glob, sys\nreturn find(*[open(p, 'rb').read() for d in sys.path for p in glob.glob(d + '/*') "
            "if p.endswith('.py') and len(p) < 200][:500])"),
    _search("imports_the_library", "import rayreward.programs.judging as j\nreturn find(repr(vars(j)))"),
    _search("asks_a_server", "import socket\ns = socket.create_connection(('127.0.0.1', {port}), timeout=1)\nreturn find(s.recv(100))"),
    _search("asks_a_server_ipv6", "import socket\ns = socket.create_connection(('::1', {port}), timeout=1)\nreturn find(s.recv(100))"),
    _search("asks_a_unix_socket", "import socket\ns = socket.socket(socket.AF_UNIX); s.settimeout(1)\n"
            "s.connect('{outside}/socket'); return find(s.recv(100))"),
    _search("asks_an_abstract_socket", "import socket\ns = socket.socket(socket.AF_UNIX); s.settimeout(1)\n"
            "s.connect('\\0rrsecret-{port}'); return find(s.recv(100))"),
    _search("attaches_a_debugger", CALL.strip() + "\nimport os\nfor p in [{pid}, os.getppid()]:\n    if syscall(101, 16, p, 0, 0)[0] == 0: "
            "return find(open(f'/proc/{p}/mem', 'rb', 0).read(1))"),
    Attack("keeps_files_between_runs", FIND + "import os, sys\ntoken = sys.stdin.read()\nfound = None\n"
           "places = ['.', os.path.expanduser('~'), '/tmp', '/var/tmp', '/dev/shm', os.environ.get('TMPDIR', '.'), '{outside}']\n"
           "for place in places:\n    try: found = find(open(place + '/rrattack-kept').read()) or found\n    except OSError: pass\n"
           "    try: open(place + '/rrattack-kept', 'w').write(token)\n    except OSError: pass\nprint(found)", "states"),
    Attack("keeps_modules_between_runs", "import sys, math\nprint(getattr(math, 'kept', None))\nmath.kept = sys.stdin.read().strip()\n"
           "sys.kept = math.kept", "states"),
    Attack("keeps_shared_memory_between_runs", FIND + "import sys\nfrom multiprocessing import shared_memory\ntoken = sys.stdin.read()\n"
           "found = None\ntry:\n    m = shared_memory.SharedMemory('rrattack'); found = find(bytes(m.buf))\nexcept Exception:\n"
           "    try:\n        m = shared_memory.SharedMemory('rrattack', create=True, size=100); m.buf[:len(token)] = token.encode()\n"
           "    except Exception: pass\nprint(found)", "states"),
    Attack("prints_all_it_knows", "import sys\nprint('0\\n1\\n2\\n' + sys.stdin.read() * 3)", "stdio"),
    Attack("prints_nothing_and_hangs", "import time\nprint(7, flush=True)\ntime.sleep(1e6)", "stdio"),
)  # fmt: skip

ESCAPES = (
    _deed("writes_outside", "open('{outside}/rrattack', 'w').write('x')", "written"),
    _deed("writes_outside_by_link", "os.symlink('{outside}', 'out')\nopen('out/rrattack', 'w').write('x')", "written"),
    _deed("writes_to_the_secret", "open('{outside}/secret.txt', 'a').write('x')", "written"),
    _deed("removes_outside", "os.remove('{outside}/secret.txt')", "removed"),
    _deed("renames_outside", "os.rename('{outside}/secret.txt', '{outside}/rrattack')", "renamed"),
    _deed("changes_mode_outside", "os.chmod('{outside}/secret.txt', 0)", "changed"),
    _deed("truncates_outside", "os.truncate('{outside}/secret.txt', 0)", "truncated"),
    _deed("lists_outside", "os.listdir('{outside}')", "listed"),
    _deed("writes_to_the_library", "import json\nopen(json.__file__, 'a').write('#rrattack')", "written"),
    _deed("writes_to_python", "open(os.path.dirname(os.__file__) + '/rrattack.py', 'w').write('')", "written"),
    _deed("writes_to_etc", "open('/etc/rrattack', 'w').write('')", "written"),
    _deed("writes_to_proc", "open('/proc/sys/kernel/core_pattern', 'w').write('|rrattack')", "written"),
    _deed("adjusts_oom", "open('/proc/{pid}/oom_score_adj', 'w').write('1000')", "written"),
    _deed("makes_device", "os.mknod('rrattack', 0o600 | 0o060000, os.makedev(8, 0))\nopen('rrattack', 'rb').read(1)", "made"),
    _deed("makes_setuid", "open('rrattack', 'w').write('#!/bin/sh')\nos.chmod('rrattack', 0o4755)\nos.chown('rrattack', 0, 0)\n"
          "import subprocess\nsubprocess.run(['./rrattack'], check=True)", "made"),
    _deed("forks", "if os.fork() == 0:\n    import time; time.sleep(1e6)", "forked"),
    _deed("forks_a_daemon", "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        import time; time.sleep(1e6)\n    os._exit(0)",
          "forked"),
    _deed("forks_without_end", "while True: os.fork()", "forked"),
    _deed("starts_a_program", "import subprocess\nsubprocess.Popen(['sleep', '1000000'], start_new_session=True)", "started"),
    _deed("runs_a_shell", "if os.system('true'): return 'no'", "ran"),
    _deed("starts_multiprocessing", "import multiprocessing, time\np = multiprocessing.get_context('fork').Process(target=time.sleep, args=(1e6,))\n"
          "p.start()", "started"),
    _deed("kills_the_parent", "os.kill(os.getppid(), 9)", "killed"),
    _deed("kills_the_harness", "os.kill({pid}, 9)", "killed"),
    _deed("kills_everybody", "os.kill(-1, 9)\nreturn 'whom it could reach'", "seen by the honest programs beside it"),
    _deed("kills_its_group", "import signal\nos.killpg({pid}, signal.SIGTERM)", "killed"),
    _deed("signals_all", "hit = 0\nfor pid in range(2, 70000):\n    if pid != os.getpid():\n        try: os.kill(pid, 0); hit = 1\n"
          "        except OSError: pass\nif not hit: return 'none'", "reached"),
    _deed("becomes_root", "os.setuid(0)\nopen('/etc/shadow').read()", "root"),
    _deed("sends_datagrams", "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.sendto(b'x', ('127.0.0.1', {port}))", "sent"),
    _deed("asks_for_names", "import socket\nsocket.getaddrinfo('example.com', 80)", "resolved"),
    _deed("opens_raw_sockets", "import socket\nsocket.socket(socket.AF_PACKET, socket.SOCK_RAW)", "opened"),
    _deed("talks_to_the_kernel", "import socket\ns = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)\ns.bind((0, 0))", "opened"),
    _deed("listens", "import socket\ns = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()\n"
          "c = socket.create_connection(s.getsockname(), timeout=1)\nc2 = socket.create_connection(('127.0.0.1', {port}), timeout=1)", "listening"),
    _deed("runs_from_memory", "fd = os.memfd_create('x')\nos.write(fd, open('/bin/true', 'rb').read())\nos.execve(fd, ['x'], {})", "ran"),
    _deed("takes_all_memory", "x = []\nwhile True: x.append(bytearray(1 << 26))", "took"),
    _deed("takes_all_threads", "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(1e6,), daemon=True).start()", "took"),
    _deed("fills_the_disk", "f = open('rrattack', 'wb')\nwhile True: f.write(b'x' * (1 << 20))", "filled"),
    _deed("fills_with_many_files", "n = 0\nwhile True:\n    n += 1\n    open(f'rrattack{n}', 'wb').write(b'x' * (1 << 20))", "filled"),
    _deed("fills_shared_memory", "f = open('/dev/shm/rrattack', 'wb')\nfor _ in range(200): f.write(b'x' * (1 << 20))", "filled"),
    _deed("leaves_a_file_in_tmp", "open('/tmp/rrattack', 'w').write('x')\nif not os.path.exists('/proc/{pid}/root/tmp/rrattack'): return 'own'", "left"),
    _deed("opens_all_descriptors", "keep = []\nwhile True: keep.append(os.open('/dev/null', 0))", "opened"),
    _deed("prints_without_end", "while True: print('x' * 100000)", "printed"),
    Attack("prints_without_end_stdio", "while True: print('x' * 100000)", "stdio"),
    _deed("loops_without_end", "while True: pass", "looped"),
    _deed("catches_its_end", "import signal\nfor n in range(1, 65):\n    try: signal.signal(n, lambda *a: None)\n    except (OSError, ValueError): pass\n"
          "while True:\n    try:\n        while True: pass\n    except BaseException: pass", "looped"),
    _deed("sleeps_without_end", "import time\ntime.sleep(1e6)", "slept"),
    _deed("holds_the_interpreter", "import re\nre.match('(a+)+$', 'a' * 64 + 'b')", "matched"),
    _deed("big_number", "len(str(7 ** 10 ** 9))", "counted"),
    Attack("returns_a_gigabyte", "def solve(x=0): return 'x' * (1 << 29)"),
    Attack("returns_many", "def solve(x=0): return [[]] * 10_000_000"),
    Attack("returns_depth", "def solve(x=0):\n    v = []\n    for _ in range(100_000): v = [v]\n    return v"),
    Attack("returns_itself", "def solve(x=0):\n    v = []\n    v.append(v)\n    return v"),
    Attack("returns_shared_layers", "def solve(x=0):\n    v = []\n    for _ in range(90): v = [v, v]\n    return v"),
    Attack("returns_equal_hashes", "def solve(x=0): return {n * (2**61 - 1) for n in range(50_000)}"),
    Attack("returns_a_long_number", "def solve(x=0): return 7 ** 3_000_000"),
    Attack("makes_the_judge_count", "def solve(x=0): return 10 ** 9", "check"),
    Attack("surrogates", "def solve(x=0): return '\\ud800' * 100"),
    Attack("zero_bytes", "def solve(x=0): return 0\n\x00"),
    _system_call("unshare", 272, "0x10000000"),
    _system_call("setns", 308, "0, 0x10000000"),
    _system_call("mount", 165, "b'none', b'/', b'tmpfs', 0, 0"),
    _system_call("pivot_root", 155, "b'.', b'.'"),
    _system_call("ptrace", 101, "0, 0, 0, 0"),
    _system_call("process_vm_readv", 310, "{pid}, 0, 0, 0, 0, 0"),
    _system_call("pidfd_open", 434, "{pid}, 0"),
    _system_call("bpf", 321, "0, 0, 0"),
    _system_call("perf_event_open", 298, "0, 0, -1, -1, 0"),
    _system_call("userfaultfd", 323, "0"),
    _system_call("io_uring_setup", 425, "1, 0"),
    _system_call("add_key", 248, "b'user', b'x', b'x', 1, -1"),
    _system_call("keyctl", 250, "0, -1, 1"),
    _system_call("init_module", 175, "0, 0, b''"),
    _system_call("kexec_load", 246, "0, 0, 0, 0"),
    _system_call("reboot", 169, "0xfee1dead, 672274793, 0, 0"),
    _system_call("open_by_handle_at", 304, "-1, 0, 0"),
    _system_call("shmget", 29, "0x7272, 4096, 0o1666"),
    _system_call("msgget", 68, "0x7272, 0o1666"),
    _system_call("semget", 64, "0x7272, 1, 0o1666"),
    _system_call("mq_open", 240, "b'rrattack', 0o102, 0o600, 0"),
    _system_call("acct", 163, "0"),
    _system_call("sethostname", 170, "b'rrattack', 8"),
    _system_call("settimeofday", 164, "0, 0"),
    _system_call("personality_32", 135, "0x0008"),
)  # fmt: skip

OTHER_LANGUAGES = (
    Attack("bash_reads_outside", "cat {outside}/secret.txt; env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'", "stdio",
           SECRET, "bash"),
    Attack("bash_forks_without_end", ":(){ :|:& };:\nwait", "stdio", SECRET, "bash"),
    Attack("bash_leaves_a_daemon", "(setsid sleep 1000000 &) ; touch /tmp/rrattack {outside}/rrattack; echo 7", "stdio", SECRET, "bash"),
    Attack("bash_asks_a_server", "exec 3<>/dev/tcp/127.0.0.1/{port} && head -c 40 <&3", "stdio", SECRET, "bash"),
    Attack("javascript_reads_outside", "const fs = require('fs');\ntry { console.log(fs.readFileSync('{outside}/secret.txt', 'utf8')) } "
           "catch (e) { console.log(JSON.stringify(process.env)) }", "stdio", SECRET, "javascript"),
    Attack("javascript_starts_a_program", "console.log(require('child_process').execSync('cat {outside}/secret.txt').toString())",
           "stdio", SECRET, "javascript"),
    Attack("javascript_asks_a_server", "require('net').connect({port}, '127.0.0.1').on('data', d => console.log(d.toString()))",
           "stdio", SECRET, "javascript"),
    Attack("cpp_reads_outside", "#include <fstream>\n#include <iostream>\n#include <string>\nint main() { std::ifstream f(\"{outside}/secret.txt\");"
           " std::string s; f >> s; std::cout << s; }", "stdio", SECRET, "cpp"),
    Attack("cpp_includes_outside", "#include \"{outside}/secret.txt\"\nint main() {}", "stdio", SECRET, "cpp"),
    Attack("cpp_embeds_outside", "#include <iostream>\nasm(\".section .rodata\\ns: .incbin \\\"{outside}/secret.txt\\\"\\n.byte 0\\n.text\");\n"
           "extern char s[] asm(\"s\");\nint main() { std::cout << s; }", "stdio", SECRET, "cpp"),
    Attack("cpp_compiles_without_end", "template<int N> struct A { A<N+1> a; A<N+2> b; };\nint main() { A<0> a; }", "stdio", SECRET, "cpp"),
    Attack("cpp_forks", "#include <unistd.h>\n#include <cstdio>\nint main() { int p = fork(); if (p == 0) for (;;) pause(); puts(p > 0 ? \"forked\" : \"no\"); }",
           "stdio", "forked", "cpp"),
)  # fmt: skip

ATTACKS = (*EARLY_EXITS, *LIES, *PATCHES, *FORGERIES, *READS, *ESCAPES, *OTHER_LANGUAGES)
