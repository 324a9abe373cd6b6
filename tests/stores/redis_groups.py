"""Servers that make one Redis together: a primary with a replica under Sentinels, and a cluster."""

from collections.abc import Iterable
from pathlib import Path

from tests.servers import free_port
from tests.stores.redis_processes import TEST_USER, Certificates, RedisProcess, wait_until

SERVICE = "mymaster"


class SentinelGroup:
    """A primary, a replica, and three Sentinels, two of which must agree that the primary is gone."""

    def __init__(
        self,
        folder: Path,
        *,
        tls: Certificates | None = None,
        users: Iterable[str] = (),
        sentinel_users: Iterable[str] = (),
    ) -> None:
        # A replica that is behind by nothing has nothing to wait for.
        options = ["--repl-diskless-sync-delay", "0"]
        if users:
            options += ["--masteruser", TEST_USER, "--masterauth", TEST_USER]
        self.primary = RedisProcess(folder / "one", options=options, tls=tls, users=users)
        of_primary = ["--replicaof", f"127.0.0.1 {self.primary.port}"]
        self.replica = RedisProcess(folder / "two", options=[*options, *of_primary], tls=tls, users=users)
        self.sentinels = [
            RedisProcess(folder / f"sentinel-{number}", tls=tls, users=sentinel_users) for number in range(3)
        ]
        logins = [f"auth-user {SERVICE} {TEST_USER}", f"auth-pass {SERVICE} {TEST_USER}"] if users else []
        logins += [f"sentinel-user {TEST_USER}", f"sentinel-pass {TEST_USER}"] if sentinel_users else []
        for number, sentinel in enumerate(self.sentinels):
            # Sentinels keep what they learn in their file, and take none of this from the command line.
            (folder / f"sentinel-{number}" / "redis.conf").write_text(
                f"sentinel monitor {SERVICE} 127.0.0.1 {self.primary.port} 2\n"
                f"sentinel down-after-milliseconds {SERVICE} 500\n"
                f"sentinel failover-timeout {SERVICE} 3000\n" + "".join(f"sentinel {login}\n" for login in logins)
            )
            sentinel.options.append("--sentinel")
        scheme, query = ("redis", "") if tls is None else ("rediss", f"?{tls.query}")
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        self.url = f"{scheme}+sentinel://{hosts}/{SERVICE}{query}"

    @property
    def processes(self) -> list[RedisProcess]:
        """All of them."""
        return [self.primary, self.replica, *self.sentinels]

    def start(self) -> None:
        """Start, and return when the Sentinels know each other and the replica."""
        for process in self.processes:
            process.start()
        wait_until(lambda: all(self._is_complete(sentinel) for sentinel in self.sentinels))

    def end(self) -> None:
        """End all."""
        for process in reversed(self.processes):
            process.end()

    def promoted(self) -> bool:
        """Whether the Sentinels have made the replica the primary, and it knows."""
        with self.replica.client() as client:
            return bool(client.role()[0] == b"master")

    def _is_complete(self, sentinel: RedisProcess) -> bool:
        with sentinel.client() as client:
            state = client.sentinel_master(SERVICE)
        with self.replica.client() as client:
            in_step = client.info("replication")["master_link_status"] == "up"
        return bool(state["num-slaves"] == 1 and state["num-other-sentinels"] == 2 and in_step)


class RedisCluster:
    """Three nodes with a third of the slots each; if asked for, a fourth that stands by for the first."""

    def __init__(
        self,
        folder: Path,
        *,
        with_replica: bool = False,
        tls: Certificates | None = None,
        users: Iterable[str] = (),
        executable: str = "redis-server",
        package: str = "redis-server",
    ) -> None:
        timing = ["--cluster-node-timeout", "1000", "--cluster-replica-validity-factor", "0"]
        self.nodes: list[RedisProcess] = []
        self.buses: list[int] = []
        for number in range(4 if with_replica else 3):
            self.buses.append(free_port())
            cluster = ["--cluster-enabled", "yes", "--cluster-port", str(self.buses[-1]), *timing]
            cluster += ["--repl-diskless-sync-delay", "0", "--tls-cluster", "no" if tls is None else "yes"]
            node, kind = folder / f"node-{number}", {"executable": executable, "package": package}
            self.nodes.append(RedisProcess(node, options=cluster, tls=tls, users=users, **kind))
        self.hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:3])
        self.url = f"redis+cluster://{self.hosts}"

    def start(self) -> None:
        """Start, share out the slots, and return when all nodes agree."""
        for node in self.nodes:
            node.start()
        for number, node in enumerate(self.nodes):
            with node.client() as client:
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                if number < 3:
                    first, last = number * 16384 // 3, (number + 1) * 16384 // 3 - 1
                    client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
                for other, bus in zip(self.nodes[:number], self.buses, strict=False):
                    client.execute_command("CLUSTER", "MEET", "127.0.0.1", other.port, bus)
        wait_until(lambda: all(self._is_complete(node) for node in self.nodes))
        if len(self.nodes) > 3:
            with self.nodes[3].client() as client:
                client.execute_command("CLUSTER", "REPLICATE", self.node_id(0))
            wait_until(self._replicates)

    def end(self) -> None:
        """End all."""
        for node in self.nodes:
            node.end()

    def node_id(self, number: int) -> str:
        """By which the nodes call this one."""
        with self.nodes[number].client() as client:
            name: bytes = client.execute_command("CLUSTER", "MYID")
            return name.decode()

    def is_primary(self, number: int) -> bool:
        """Whether this node has slots, and knows that all have an owner."""
        with self.nodes[number].client() as client:
            state: list[bytes] = client.execute_command("CLUSTER", "INFO").split()
            return bool(client.role()[0] == b"master") and b"cluster_state:ok" in state

    def _is_complete(self, node: RedisProcess) -> bool:
        with node.client() as client:
            state: list[bytes] = client.execute_command("CLUSTER", "INFO").split()
        return b"cluster_state:ok" in state and b"cluster_known_nodes:%d" % len(self.nodes) in state

    def _replicates(self) -> bool:
        with self.nodes[3].client() as client:
            in_step = client.info("replication").get("master_link_status") == "up"
        with self.nodes[1].client() as client:
            return in_step and b"cluster_size:3" in client.execute_command("CLUSTER", "INFO").split()
