"""An ssh server on loopback, in this process: the real protocol, a shell behind it, folders of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

PASSWORD = "from one to eight"


@dataclass
class Server:
    """Where it listens, how the system's ssh client gets in, and what its commands see."""

    folder: Path
    environment: dict[str, str]
    port: int = 0
    commands: list[str] = field(default_factory=list)

    @property
    def temporary(self) -> Path:
        """Where its commands make temporary files."""
        return self.folder / "tmp"

    def ssh(self, key: str = "client") -> str:
        """Return the ssh command that knows this server and logs in with this key."""
        options = {"UserKnownHostsFile": self.folder / "known_hosts", "IdentityFile": self.folder / key, "IdentitiesOnly": "yes"}
        return "ssh -F none " + " ".join(f"-o {name}={value}" for name, value in options.items())


class AsksForPassword(asyncssh.SSHServer):
    """Lets in who knows the word."""

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return password == PASSWORD


@contextmanager
def serve(folder: Path, environment: dict[str, str]) -> Iterator[Server]:
    """Run a server whose commands get ``environment`` alone, and ``folder/tmp`` for temporary files.

    It lets the key ``folder/client`` in, and anybody with ``PASSWORD``.
    """
    server = Server(folder, environment)
    server.temporary.mkdir(parents=True)
    keys = {name: asyncssh.generate_private_key("ssh-ed25519") for name in ("host", "client", "stranger")}
    for name, key in keys.items():
        key.write_private_key(folder / name)
        (folder / name).chmod(0o600)
    (folder / "authorized_keys").write_bytes(keys["client"].export_public_key())

    async def handle(process: asyncssh.SSHServerProcess[bytes]) -> None:
        pipe, command = asyncio.subprocess.PIPE, process.command or ""
        server.commands.append(command)
        environment = {**server.environment, "TMPDIR": str(server.temporary)}
        shell = await asyncio.create_subprocess_shell(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)
        into = asyncio.create_task(pump(process.stdin, shell.stdin))
        await asyncio.gather(pump(shell.stdout, process.stdout), pump(shell.stderr, process.stderr))
        process.exit(await shell.wait())
        into.cancel()

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[keys["host"]],
            authorized_client_keys=str(folder / "authorized_keys"),
            server_factory=AsksForPassword,
            process_factory=handle,
            encoding=None,
        )

    with running_loop() as loop:
        acceptor = asyncio.run_coroutine_threadsafe(listen(), loop).result()
        server.port = acceptor.get_port()
        known = f"[127.0.0.1]:{server.port} ".encode() + keys["host"].export_public_key()
        (folder / "known_hosts").write_bytes(known)
        yield server
        loop.call_soon_threadsafe(acceptor.close)


async def pump(source: Any, target: Any) -> None:
    """Pass bytes on until ``source`` ends or either side breaks, then end ``target`` if it is a pipe."""
    with suppress(OSError, asyncssh.Error):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
    if isinstance(target, asyncio.StreamWriter):
        target.close()


@contextmanager
def running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop in a thread; what still runs in it at the end is cancelled."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def cancel() -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(cancel(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
