"""`python -m benchmarks.timed_relay CONFIG TIMES`: `coffer relay` that writes down when the broker confirmed what."""

import hashlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from coffer.main import services
from coffer.wire import transport
from coffer.wire.publisher import Flight, Outgoing, PipelinedPublisher


class _TimedFlight:
    def __init__(self, flight: Flight, batch: Sequence[Outgoing], times: Path) -> None:
        self._flight = flight
        self._batch = batch
        self._times = times

    def land(self) -> frozenset[int]:
        """Wait, and write down when the waiting was over."""
        confirmed = self._flight.land()
        at_s = time.monotonic()
        with self._times.open("a") as file:
            for message in self._batch:
                if message.id in confirmed:
                    file.write(f"{hashlib.md5(message.body).hexdigest()} {at_s}\n")
        return confirmed


class Timed:
    """A publisher around another one."""

    def __init__(self, publisher: PipelinedPublisher, times: Path) -> None:
        """Write to `times`."""
        self._publisher = publisher
        self._times = times

    def publish(self, batch: Sequence[Outgoing]) -> frozenset[int]:
        """Publish, and write down when that was over."""
        return self.send(batch).land()

    def send(self, batch: Sequence[Outgoing]) -> Flight:
        """Send."""
        return _TimedFlight(self._publisher.send(batch), batch, self._times)

    def close(self) -> None:
        """Close."""
        self._publisher.close()


def main(config_file: Path, times: Path) -> None:
    """Run the service with a publisher that takes the time."""
    new = transport.publisher
    transport.publisher = lambda *args, **options: Timed(new(*args, **options), times)
    services.run("relay", [config_file])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
