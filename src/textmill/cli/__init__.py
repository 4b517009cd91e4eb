"""The command line: `textmill serve`, and a command for each verb of a model."""

from __future__ import annotations

import click

from textmill import __version__
from textmill.cli.bench import bench
from textmill.cli.chat import chat
from textmill.cli.classify import classify, classify_tokens, zero_shot
from textmill.cli.complete import complete
from textmill.cli.doctor import doctor
from textmill.cli.embed import embed
from textmill.cli.embed_kinds import embed_chunks, embed_hybrid, embed_multi, embed_sparse, embed_tokens
from textmill.cli.installed import installed
from textmill.cli.pull import pull
from textmill.cli.rerank import rerank
from textmill.cli.serve import serve, tei
from textmill.cli.tune import tune
from textmill.errors import TextmillError

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells count: 128 + SIGINT."""


class _Failure(click.ClickException):
    """An error of ours, as one sentence without a traceback; what is not ours is a bug and keeps it."""

    def show(self, file: object = None) -> None:
        del file  # click gives none
        click.echo(f"textmill: error: {self.format_message()}", err=True)


class _Commands(click.Group):
    """The group that turns our errors and Ctrl-C into exit codes."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except TextmillError as error:
            raise _Failure(str(error)) from error
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


@click.group(
    cls=_Commands,
    commands=[
        serve,
        tei,
        pull,
        installed,
        embed,
        embed_sparse,
        embed_multi,
        embed_hybrid,
        embed_chunks,
        embed_tokens,
        rerank,
        classify,
        classify_tokens,
        zero_shot,
        chat,
        complete,
        bench,
        tune,
        doctor,
    ],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="textmill %(version)s")
def main() -> None:
    """Serve text models: embed, rerank, classify and write, from the shell or over HTTP."""
