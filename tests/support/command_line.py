"""The lab's command line, called in this process."""

from typer.testing import CliRunner

from tuning.cli.app import app


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])
