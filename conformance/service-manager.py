"""Starts a program as systemd starts a service whose socket it listens on, and hears what the program says of itself.

Usage: service-manager.py ADDRESS PORT METRICS_PORT WATCHDOG_USEC [--own-network] [--no-write-execute] PROGRAM ARGUMENT...

Prints a line for each message that comes by the notification socket, and ends with the program's exit code. Python, since Node has
neither datagram sockets of the UNIX domain nor prctl(2) and unshare(2).
"""

import ctypes
import fcntl
import os
import signal
import socket
import sys
import tempfile

CLONE_NEWNET = 0x40000000
PR_SET_MDWE = 65
FIRST_DESCRIPTOR = 3

libc = ctypes.CDLL(None, use_errno=True)


def must(result, what):
    if result != 0:
        raise OSError(ctypes.get_errno(), what)


def become(arguments, listeners, notify_path, watchdog):
    """In the child: takes away what the unit takes away, and becomes the program."""
    own_network = arguments[0] == "--own-network"
    if own_network:
        arguments = arguments[1:]
        must(libc.unshare(CLONE_NEWNET), "unshare")
    if arguments[0] == "--no-write-execute":
        arguments = arguments[1:]
        must(libc.prctl(PR_SET_MDWE, 1, 0, 0, 0), "PR_SET_MDWE")
    # Out of the way first, so that none is overwritten that is still to be moved.
    copies = [fcntl.fcntl(listener.fileno(), fcntl.F_DUPFD, FIRST_DESCRIPTOR + len(listeners)) for listener in listeners.values()]
    for at, copy in enumerate(copies):
        os.dup2(copy, FIRST_DESCRIPTOR + at, inheritable=True)
        os.close(copy)
    pid = str(os.getpid())
    names = {"LISTEN_FDS": str(len(copies)), "LISTEN_FDNAMES": ":".join(listeners), "LISTEN_PID": pid}
    told = {**names, "NOTIFY_SOCKET": notify_path, "WATCHDOG_USEC": watchdog, "WATCHDOG_PID": pid}
    os.execve(arguments[0], arguments, {**os.environ, **told})


def main():
    address, port, metrics_port, watchdog, *arguments = sys.argv[1:]
    # As systemd names them: by the unit, or by its FileDescriptorName=.
    listeners = {name: socket.create_server((address, int(at))) for name, at in (("metrics", metrics_port), ("ai-model-registry.socket", port))}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "notify")
        heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        heard.bind(path)
        child = os.fork()
        if child == 0:
            become(arguments, listeners, path, watchdog)
        signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
        heard.settimeout(0.1)
        while True:
            try:
                message, descriptors, _flags, _sender = socket.recv_fds(heard, 4096, 4)
                # A barrier (sd_notify_barrier(3)): its end is told by closing what came with it.
                for descriptor in descriptors:
                    os.close(descriptor)
                if not message.startswith(b"BARRIER"):
                    print("notified", message.decode().replace("\n", " "), flush=True)
            except TimeoutError:
                pass
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended == child:
                return os.waitstatus_to_exitcode(status)


sys.exit(main())
