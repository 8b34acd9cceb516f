"""What a shell offers while somebody types `churn-jax …`."""

import shutil
import subprocess

import pytest

from churn_jax.__main__ import COMMANDS, complete
from churn_jax.errors import UserError
from churn_jax.predictions.readers import source
from churn_jax.system import command_lines, completion

# As readline does: words are broken at blanks and at =.
ASK = """
{script}
COMP_LINE={line!r}; COMP_POINT=${{#COMP_LINE}}
read -ra COMP_WORDS <<< "${{COMP_LINE//=/ = }}"
[[ "$COMP_LINE" == *" " || "$COMP_LINE" == *= ]] && COMP_WORDS+=("")
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_churn_jax
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("churn-jax ev", ["evaluate"]),
        ("churn-jax train --work", ["--workdir="]),
        ("churn-jax train --config=dig", ["digits", "digits_codistill"]),
        ("churn-jax train --config.method.bet", [
            "--config.method.beta=", "--config.method.beta_ramp=",
            "--config.method.beta_ramp_epochs=", "--config.method.beta_ramp_percent=",
        ]),
        ("churn-jax study --study=table", ["table1", "table2", "table3", "table6"]),
        ("churn-jax study --dataset=cif", ["cifar10", "cifar100"]),
        ("churn-jax compare --pa", ["--pass_if=", "--paired"]),
        ("churn-jax evaluate --figures --s", ["--step="]),
        ("churn-jax export --pred", ["--prediction="]),
        ("churn-jax completion f", ["fish"]),
    ],
)  # fmt: skip
def test_bash_offers_what_fits(line, offered, capsys):
    complete(["bash"])
    program = ASK.format(script=capsys.readouterr().out, line=line)
    done = subprocess.run([shutil.which("bash"), "-c", program], capture_output=True, text=True)
    assert sorted(done.stdout.split()) == sorted(offered), done.stderr


def test_every_command_is_offered_in_every_shell(capsys):
    for shell in completion.SHELLS:
        complete([shell])
        said = capsys.readouterr().out
        assert all(name in said for name in COMMANDS)
        assert said.startswith("autoload -U +X bashcompinit") == (shell == "zsh")
    with pytest.raises(UserError, match="tcsh"):
        complete(["tcsh"])


def test_kinds_of_values_are_the_readers():
    assert command_lines.KINDS == source.KINDS
