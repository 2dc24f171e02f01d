"""The ids of requests: by them events are found and counted, so no two requests have the same."""

import os
import random
import re
import threading

from coffer.api.request_ids import new_request_id

UUID4 = re.compile(r"req-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def test_an_id_is_a_random_uuid_behind_req() -> None:
    assert UUID4.fullmatch(new_request_id())


def test_no_two_are_the_same_though_many_threads_ask() -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.extend(new_request_id() for _ in range(2000))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 16_000


def test_a_library_that_seeds_random_numbers_does_not_bring_ids_back() -> None:
    random.seed(1)
    first = new_request_id()
    random.seed(1)
    assert new_request_id() != first


def test_a_forked_process_has_ids_of_its_own() -> None:
    new_request_id()  # there is a supply that both would have
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, "\n".join(new_request_id() for _ in range(100)).encode())
        os._exit(0)
    os.close(write)
    ours = {new_request_id() for _ in range(100)}
    with os.fdopen(read) as pipe:
        theirs = set(pipe.read().split("\n"))
    os.waitpid(child, 0)
    assert len(theirs) == 100
    assert not ours & theirs
