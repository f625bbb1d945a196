"""A trainer in small, to be killed: writes down what it was given, and checkpoints now and then.

    python3 -m tests.consumer LOG OUTPUT CHECKPOINT

Like a trainer's weights, what it wrote counts as far as the checkpoint goes: on start it cuts the
output back to there.
"""

import json
import os
import sys
import time

from riffle_feed import Feed, FileSource, ListSource, TailSource

from .support import mixture

DOCUMENTS_A_CHECKPOINT = 7
WEIGHTS = mixture(a=0.5, b=0.3, c=0.2)


def replace(path, text):
    """Writes a file whole or not at all."""
    with open(path + ".new", "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


def main(log, output, checkpoint):
    """Consumes the log to its end."""
    state, size = None, 0
    if os.path.exists(checkpoint):
        with open(checkpoint) as file:
            state, size = json.load(file)
    with open(output, "ab") as out:
        out.truncate(size)
    source = TailSource(command=json.loads(log), follow=False) if log[0] == "[" else FileSource(log)
    feed = Feed(source, ListSource([WEIGHTS]), skill="metadata.topic", state=state)
    with open(output, "ab") as out, feed:
        for count, document in enumerate(feed, 1):
            out.write(f"{document.id}\n".encode())
            time.sleep(0.001)
            if count % DOCUMENTS_A_CHECKPOINT == 0:
                out.flush()
                replace(checkpoint, json.dumps([feed.state_dict(), out.tell()]))
        out.flush()
        replace(checkpoint, json.dumps([feed.state_dict(), out.tell()]))


if __name__ == "__main__":
    main(*sys.argv[1:])
