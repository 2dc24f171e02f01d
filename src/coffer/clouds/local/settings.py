"""What an operator can set of the local cloud."""

from dataclasses import dataclass

GIB = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """Limits and ranges; the defaults suit a machine that does nothing else."""

    availability_zone: str = "nova"
    """What the machine is called; the default is Nova's, so that what was written for that works here."""
    address: str = "127.0.0.1"
    """Where the database servers listen."""
    ports: range = range(20000, 30000)
    """Below the range from which Linux takes the source ports of connections (32768 and above), so that no
    client's connection can sit on the port of a server that is just restarting."""
    base_uid: int = 200_000
    """The lowest user id for an instance; used when the control plane is root."""
    uid_count: int = 2_000_000_000
    """How many user ids from `base_uid` on are ours. Many, so that none need be used twice, and so that two
    clouds on one machine, each of which begins at a random place, do not meet."""
    min_free_gib: float = 1.0
    """Free space that must remain on the disk, or no instance is made."""
    stop_grace_s: float = 5.0
    """How long a process of a deleted instance is asked to end before it is killed."""
    stop_deadline_s: float = 20.0
    """When a deletion gives up on a process that survives SIGKILL (in an unfinished read of a disk, say)."""
    erase_deadline_s: float = 300.0
    """How long the removal of an instance's files may take."""
    lock_timeout_s: float = 60.0
    agent_settings: str | None = None
    """What an agent that is a process of its own is told in its `agent.conf`; see entrusted.py."""

    @property
    def uids(self) -> range:
        """The user ids for instances."""
        return range(self.base_uid, self.base_uid + self.uid_count)
