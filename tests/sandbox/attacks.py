"""Programs that try to get out, to read what they must not, or to leave something behind.

Each prints ESCAPED, with what it got, where it succeeds. One that is killed for trying has failed too.
"""

from __future__ import annotations

PRELUDE = """
import ctypes, errno, os, signal, socket, struct, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def escaped(*what):
    print("ESCAPED", *what, flush=True)
def syscall(number, *arguments):
    ctypes.set_errno(0)
    libc.syscall.restype = ctypes.c_long
    return libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
def succeeds(work):
    try:
        got = work()
    except BaseException as error:
        return False
    escaped(got)
    return True
"""

READS = {
    path: f"""
try:
    with open({path!r}.replace("ZYGOTE", str(os.getppid())), "rb") as file:
        escaped(file.read(100))
except OSError:
    pass
"""
    for path in (
        "/etc/passwd", "/etc/shadow", "/etc/hostname", "/etc/hosts", "/proc/1/environ", "/proc/1/cmdline",
        "/proc/self/environ", "/proc/self/mem", "/proc/self/maps", "/proc/self/mountinfo", "/proc/cpuinfo",
        "/proc/kallsyms", "/proc/keys", "/proc/sys/kernel/core_pattern", "/sys/kernel/uevent_helper", "/dev/mem",
        "/dev/kmsg", "/dev/vda", "/dev/ptmx", "SECRET_FILE", "../../../../../../../SECRET_FILE",
        "/proc/PARENT/environ", "/proc/PARENT/mem", "/proc/PARENT/maps", "/proc/PARENT/cmdline",
        "/proc/ZYGOTE/environ", "/proc/ZYGOTE/mem", "/proc/PARENT/root/etc/passwd", "/proc/PARENT/cwd/pyproject.toml",
        "/proc/self/root/etc/passwd", "/run/docker.sock", "/var/run/secrets/kubernetes.io/serviceaccount/token",
    )
}  # fmt: skip

WRITES = {
    "write beside the folder": 'succeeds(lambda: open("../escaped", "w"))',
    "write to /tmp": 'succeeds(lambda: open("/tmp/escaped", "w"))',
    "write to /dev/shm": 'succeeds(lambda: open("/dev/shm/escaped", "w"))',
    "write to /var/tmp": 'succeeds(lambda: open("/var/tmp/escaped", "w"))',
    "write into the standard library": 'succeeds(lambda: open(os.__file__, "a"))',
    "truncate by reading": "succeeds(lambda: os.open(os.__file__, os.O_RDONLY | os.O_TRUNC))",
    "truncate": 'succeeds(lambda: os.truncate("SECRET_FILE", 0))',
    "chmod another's file": 'succeeds(lambda: os.chmod("SECRET_FILE", 0o777))',
    "chown another's file": 'succeeds(lambda: os.chown("SECRET_FILE", 65534, 65534))',
    "touch another's file": 'succeeds(lambda: os.utime("SECRET_FILE", (1, 1)))',
    "remove another's file": 'succeeds(lambda: os.unlink("SECRET_FILE"))',
    "rename another's file": 'succeeds(lambda: os.rename("SECRET_FILE", "mine"))',
    "set its attributes": 'succeeds(lambda: os.setxattr("SECRET_FILE", "user.x", b"1"))',
    "link to another's file": """
try:
    os.link("SECRET_FILE", "mine")
    escaped(open("mine").read())
except OSError:
    pass
""",
    "read by a symlink": """
os.symlink("SECRET_FILE", "mine")
succeeds(lambda: open("mine").read())
""",
    "symlink up and list": """
os.symlink("/", "root")
succeeds(lambda: os.listdir("root/root"))
succeeds(lambda: os.listdir("root/home"))
""",
    "list other programs' folders": 'succeeds(lambda: os.listdir(".."))',
    "enter other programs' folders": """
for at in range(20):
    if f"/{at}" not in os.getcwd()[-3:]:
        succeeds(lambda: os.listdir(f"../{at}"))
""",
    "a device of its own": "succeeds(lambda: os.mknod('disk', 0o60600, os.makedev(254, 0)))",
    "a pipe with a name": "succeeds(lambda: os.mkfifo('pipe'))",
    "mount": 'syscall(165, b"tmpfs", b".", b"tmpfs", 0, None) == 0 and escaped("mounted")',
    "chroot": 'succeeds(lambda: os.chroot("."))',
    "a handle of a file": "syscall(304, 3, ctypes.create_string_buffer(64), 0) >= 0 and escaped('opened by handle')",
    "unshare a user namespace": "libc.unshare(0x10000000) == 0 and escaped('unshared')",
    "enter the parent's namespace": "syscall(308, 0, 0) == 0 and escaped('setns')",
}

PROCESSES = {
    "fork": "succeeds(os.fork)",
    "vfork": "syscall(58) >= 0 and escaped('vforked')",
    "clone a process": "syscall(56, 17, 0, 0, 0, 0) >= 0 and escaped('cloned')",
    "clone into a namespace": "syscall(56, 0x10000000 | 17, 0, 0, 0, 0) >= 0 and escaped('cloned')",
    "clone3": "syscall(435, ctypes.create_string_buffer(88), 88) >= 0 and escaped('cloned')",
    "exec": "os.execv('/bin/sh', ['sh', '-c', 'echo ESCAPED'])",
    "a shell": "os.system('echo ESCAPED')",
    "a subprocess": "import subprocess; subprocess.run(['/bin/echo', 'ESCAPED'])",
    "posix_spawn": "os.posix_spawn('/bin/echo', ['echo', 'ESCAPED'], {})",
    "a session of its own": "succeeds(os.setsid)",
    "a group of its own": "succeeds(lambda: os.setpgid(0, 0))",
    "kill the parent": "succeeds(lambda: os.kill(PARENT, 0))",
    "kill the zygote": "succeeds(lambda: os.kill(os.getppid(), 0))",
    "kill everybody": "succeeds(lambda: os.kill(-1, signal.SIGCONT)) if os.getppid() != 1 else None",
    "stop by tgkill": "syscall(234, PARENT, PARENT, 0) == 0 and escaped('tgkill')",
    "stop by tkill": "syscall(200, PARENT, 0) == 0 and escaped('tkill')",
    "signal by a queue": "syscall(129, PARENT, 0, ctypes.create_string_buffer(128)) == 0 and escaped('queued')",
    "signal by a pidfd": "fd = syscall(434, PARENT, 0); fd >= 0 and escaped('pidfd')",
    "signal by fcntl": """
import fcntl
a, b = socket.socketpair()
succeeds(lambda: fcntl.fcntl(a, 8, PARENT))
succeeds(lambda: fcntl.fcntl(a, 10, 9))
""",
    "signal by ioctl": """
import fcntl
a, b = socket.socketpair()
succeeds(lambda: fcntl.ioctl(a, 0x8901, struct.pack("i", PARENT)))
""",
    "ptrace the parent": "syscall(101, 16, PARENT, 0, 0) == 0 and escaped('attached')",
    "ptrace itself": "syscall(101, 0, 0, 0, 0) == 0 and escaped('traced')",
    "read the parent's memory": """
buffer = ctypes.create_string_buffer(8)
vector = struct.pack("QQ", ctypes.addressof(buffer), 8)
syscall(310, PARENT, vector, 1, struct.pack("QQ", 0x400000, 8), 1, 0) >= 0 and escaped('read')
""",
    "write the parent's memory": """
buffer = ctypes.create_string_buffer(8)
vector = struct.pack("QQ", ctypes.addressof(buffer), 8)
syscall(311, PARENT, vector, 1, vector, 1, 0) >= 0 and escaped('written')
""",
    "take the parent's descriptor": "syscall(438, 3, 0, 0) >= 0 and escaped('taken')",
    "compare with the parent": "syscall(312, os.getpid(), PARENT, 0, 0, 0) >= 0 and escaped('compared')",
    "limit the parent": """
import resource
succeeds(lambda: resource.prlimit(PARENT, resource.RLIMIT_NOFILE, (1, 1)))
succeeds(lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE))
""",
    "slow the parent": "succeeds(lambda: os.setpriority(os.PRIO_PROCESS, PARENT, 19))",
    "pin the parent": "succeeds(lambda: os.sched_setaffinity(PARENT, {0}))",
    "be root": "succeeds(lambda: os.setuid(0))",
    "be somebody": "succeeds(lambda: os.setresuid(1, 1, 1))",
    "have capabilities": """
header = struct.pack("Ii", 0x20080522, 0)
syscall(126, header, struct.pack("IIIIII", 1 << 21, 1 << 21, 0, 0, 0, 0)) == 0 and escaped('capset')
""",
    "be dumpable": "libc.prctl(4, 1, 0, 0, 0) == 0 and escaped('dumpable')",
    "raise its limits": """
import resource
succeeds(lambda: resource.setrlimit(resource.RLIMIT_AS, (-1, -1)))
succeeds(lambda: resource.setrlimit(resource.RLIMIT_CPU, (-1, -1)))
""",
}  # fmt: skip

KERNEL = {
    "TCP": "succeeds(lambda: socket.socket())",
    "UDP": "succeeds(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))",
    "a raw socket": "succeeds(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))",
    "netlink": "succeeds(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))",
    "a Unix socket": "succeeds(lambda: socket.socket(socket.AF_UNIX))",
    "a datagram pair": "succeeds(lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))",
    "vsock": "succeeds(lambda: socket.socket(40, socket.SOCK_STREAM))",
    "an address by name": "succeeds(lambda: socket.create_connection(('localhost', 22), 1))",
    "accept": "syscall(43, 3, 0, 0) >= 0 and escaped('accepted')",
    "io_uring": "syscall(425, 8, ctypes.create_string_buffer(120)) >= 0 and escaped('io_uring')",
    "bpf": "syscall(321, 0, ctypes.create_string_buffer(64), 64) >= 0 and escaped('bpf')",
    "perf": "syscall(298, ctypes.create_string_buffer(128), 0, -1, -1, 0) >= 0 and escaped('perf')",
    "userfaultfd": "syscall(323, 1) >= 0 and escaped('userfaultfd')",
    "keyctl": "syscall(250, 0, -3, 1) >= 0 and escaped('keyctl')",
    "add_key": "syscall(248, b'user', b'x', b'y', 1, -3) >= 0 and escaped('add_key')",
    "memfd": "succeeds(lambda: os.memfd_create('x'))",
    "secret memory": "syscall(447, 0) >= 0 and escaped('memfd_secret')",
    "SysV shared memory": "syscall(29, 0, 4096, 0o1600) >= 0 and escaped('shmget')",
    "SysV queue": "syscall(68, 0, 0o1600) >= 0 and escaped('msgget')",
    "POSIX queue": "syscall(240, b'x', 0o100 | 2, 0o600, None) >= 0 and escaped('mq_open')",
    "inotify": "syscall(294, 0) >= 0 and escaped('inotify')",
    "fanotify": "syscall(300, 0, 0) >= 0 and escaped('fanotify')",
    "personality": "syscall(135, 0x0040000) >= 0 and escaped('personality')",
    "modify_ldt": "syscall(154, 0, ctypes.create_string_buffer(64), 64) >= 0 and escaped('ldt')",
    "kexec": "syscall(246, 0, 0, None, 0) >= 0 and escaped('kexec')",
    "a module": "syscall(175, None, 0, b'') >= 0 and escaped('module')",
    "reboot": "syscall(169, 0xFEE1DEAD, 672274793, 0, None) >= 0 and escaped('reboot')",
    "the host's name": "succeeds(lambda: socket.sethostname('x'))",
    "the clock": "succeeds(lambda: time.clock_settime(time.CLOCK_REALTIME, 0))",
    "swap": "syscall(167, b'x', 0) >= 0 and escaped('swap')",
    "syslog": "syscall(103, 3, ctypes.create_string_buffer(64), 64) >= 0 and escaped('syslog')",
    "another filter": "syscall(317, 1, 0, None) >= 0 and escaped('seccomp')",
    "a call by x32 numbers": "syscall(0x40000000 + 39) >= 0 and escaped('x32')",
    "type into a terminal": "import fcntl; succeeds(lambda: fcntl.ioctl(0, 0x5412, b'x'))",
    "a 32-bit call": """
import mmap
memory = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=7)
memory.write(bytes.fromhex("53 b8 14 00 00 00 cd 80 5b c3"))  # push rbx; mov eax, 20 (getpid); int 0x80; pop rbx; ret
call = ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
call() >= 0 and escaped("int 0x80")
""",
}

ATTACKS = {**READS, **WRITES, **PROCESSES, **KERNEL}


def armed(name: str, secret_file: object, parent: int) -> str:
    """An attack's whole source: on a file that is not its own, and on the process that asked for it."""
    return PRELUDE + ATTACKS[name].replace("SECRET_FILE", str(secret_file)).replace("PARENT", str(parent))
