"""A web server for the benchmark of downloads that costs little: `python -m tests.bench.download_server FOLDER`.

It keeps connections open, as hubs do, and prints its address.
"""

import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer


class Handler(SimpleHTTPRequestHandler):
    """Serves files in one packet with their headers where they are small."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Lets many clients knock at once."""

    request_queue_size = 128
    daemon_threads = True


if __name__ == "__main__":
    with Server(("127.0.0.1", 0), partial(Handler, directory=sys.argv[1])) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)  # noqa: T201 the answer to the process that asked
        server.serve_forever()
