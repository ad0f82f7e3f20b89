"""The entry of `chatdb`: parse, run one command, word the error. Exit status 0 done, 1 error, 2 differences found.

Where the reader of its output goes away before the end it is 141, as of any program that SIGPIPE ends.

Loads only what the chosen command needs: with nothing to apply, loading would be most of the time.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
from collections.abc import Sequence

from cli import loading, streams
from cli.parser import parse
from infra.errors import ChatdbError, unforeseen

loading.prepare()

DONE, FAILED, DIFFERENT, INTERRUPTED, UNREAD = 0, 1, 2, 130, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    status = _run(arguments)
    engine = sys.modules.get("embedded.interruption")
    if engine is not None and engine.was_abandoned():
        sys.stdout.flush()
        os._exit(status)  # what was left at once is still under way in a thread, which Python would wait for
    if arguments is None:
        gc.freeze()  # the process ends here: nothing loaded is looked through once more for garbage on the way out
    return status


def _run(arguments: Sequence[str] | None) -> int:
    streams.open_closed()
    options = parse(sys.argv[1:] if arguments is None else list(arguments))
    module, _, function = options.run.partition(":")
    try:
        status = int(getattr(importlib.import_module(module), function)(options) or DONE)
        sys.stdout.flush()  # what cannot be written is to be known here
    except ChatdbError as error:
        return _fail(error, as_json=getattr(options, "json", False))
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # one more must not disturb the words of the end
        interrupted = ChatdbError(
            "interrupted",
            detail="Ctrl-C was pressed.",
            hint="Run the same command again: it goes on from here.",
            state="What was committed stays; `chatdb status` shows it.",
        )
        _fail(interrupted, as_json=getattr(options, "json", False))
        return INTERRUPTED
    except BrokenPipeError:
        # Nothing more can be said to a reader that went away.
        streams.silence(sys.stdout)
        return UNREAD
    except ImportError as error:
        from cli.requirements import missing

        worded = missing(error, options)
        if worded is None:
            raise
        return _fail(worded, as_json=getattr(options, "json", False))
    except Exception as error:
        if os.environ.get("CHATDB_DEBUG"):
            raise
        return _fail(_unwritten(error) or unforeseen(error), as_json=getattr(options, "json", False))
    return status


def _unwritten(error: Exception) -> ChatdbError | None:
    """Return the error for output that found no room; None for any other."""
    import errno

    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT) and error.filename is None
    if not full:
        return None
    streams.silence(sys.stdout)  # what is still to be written finds no room either
    return ChatdbError(
        "the output cannot be written",
        detail=str(error),
        hint="Make room where standard output goes, then run the same command again.",
        state="What was committed stays; `chatdb status` shows it.",
    )


def _fail(error: ChatdbError, *, as_json: bool) -> int:
    """Print the error, as text or JSON, to stderr."""
    if as_json:
        import json

        print(json.dumps(error.as_dict(), ensure_ascii=False), file=sys.stderr)
    else:
        from cli.console import print_error

        print_error(error)
    return FAILED


if __name__ == "__main__":
    sys.exit(main())
