"""The `bnfold` command and the way it ends: one line for an error, and an exit code.

A command is imported when it is asked for, and imports click and nothing else of weight at the
top, so that `--version` and `--help` answer at once; numpy and protobuf come with the library,
inside the commands.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import signal
import sys
import warnings
from typing import Any, NoReturn

import click

from bnfold import __version__
from bnfold.cli.terminal import say_bytes, tell, warn
from bnfold.cli.usage import Group
from bnfold.errors import BnfoldError, CheckFailedError, InterruptedWarning

CHECK_FAILED = 1
BAD_INPUT = 2


COMMANDS = (
    *(
        "merge",
        "inspect",
        "deploy",
        "prove",
        "verify",
        "run",
        "accuracy",
        "bench",
        "prune",
        "attest",
    ),
    "runtimes",
)
"""The commands, in the order of their help; each is in the module of its name."""


class Commands(Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, or None."""
        if cmd_name not in COMMANDS:
            return None
        from importlib import import_module

        command: click.Command = getattr(import_module(f"bnfold.cli.{cmd_name}"), cmd_name)
        return command


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 a check that was asked for failed, 2 bad input or usage.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Fold batch normalisation into the weights of trained Caffe networks.

    The result computes the same function with fewer layers. No Caffe is needed.

    \b
    Examples:
      bnfold inspect --model deploy.prototxt
      bnfold merge --model deploy.prototxt --weights x.caffemodel
    """
    if context.invoked_subcommand is None:
        say_bytes(f"{context.get_help()}\n".encode())


def main() -> NoReturn:
    """Run the command line and exit."""
    # A merge is over before there is any garbage to speak of; looking for it takes 20 ms of 350.
    gc.set_threshold(1_000_000, 10, 10)
    _prepare_streams()
    signals = _Signals()
    code = BAD_INPUT
    try:
        code = _run()
    except BaseException:
        # Whatever a signal's exception became on its way out of a library, it was the signal.
        if signals.first is None:
            raise
    _leave(code if signals.first is None else 128 + signals.first)


def _leave(code: int) -> NoReturn:
    """End the process at once: taking Python and numpy apart takes 40 ms of 350, for nothing."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _run() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("always", InterruptedWarning)
        _print_interruptions()
        return _run_command()


def _print_interruptions() -> None:
    """Have the one warning that is for people come out as all others of the command do."""
    other = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if issubclass(category, InterruptedWarning):
            warn(str(message))
        else:
            other(message, category, *rest, **more)

    warnings.showwarning = show


def _run_command() -> int:
    try:
        result: Any = cli.main(prog_name="bnfold", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        hint = f" (see '{error.ctx.command_path} --help')" if error.ctx else ""
        return _fail(f"{error.format_message()}{hint}")
    except click.ClickException as error:
        return _fail(error.format_message())
    except CheckFailedError as error:
        return _fail(str(error), CHECK_FAILED)
    except BnfoldError as error:
        return _fail(str(error))
    except (click.Abort, KeyboardInterrupt):
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader went away (`bnfold inspect ... | head`); leave nothing to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        # The library has turned those of files into its own.
        return _fail(f"standard output: {error.strerror}; what was to be printed is lost")
    return result if isinstance(result, int) else 0


def _fail(message: str, code: int = BAD_INPUT) -> int:
    with contextlib.suppress(OSError):
        tell(" ".join(message.splitlines()))
    return code


def _prepare_streams() -> None:
    for number, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        # Where the caller closed one, the next file to be opened would take its place. Of the wrong
        # mode, so that what is printed is missed; but for errors, which have nowhere to go.
        if not _is_open(number):
            os.open(os.devnull, mode)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
    # Names in a model may hold bytes that are no UTF-8; they must not break a report.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


class _Signals:
    """The signals that end a process, as exceptions: what is half written is removed on the way.

    Attributes:
        first: the signal that came first; None while there was none.
    """

    def __init__(self) -> None:
        self.first: int | None = None
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            # What the caller chose to ignore (`nohup bnfold ...`) stays ignored.
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._came)
        self._unraisable = sys.unraisablehook
        sys.unraisablehook = self._ignored

    def _came(self, number: int, frame: Any) -> NoReturn:
        self.first = self.first or number
        raise SystemExit(128 + number)

    def _ignored(self, what: Any) -> None:
        """Python drops exceptions in some places, such as `__del__`: have the signal come again."""
        if self.first is None or not isinstance(what.exc_value, SystemExit):
            self._unraisable(what)
            return
        import threading

        threading.Timer(0.01, os.kill, (os.getpid(), self.first)).start()
