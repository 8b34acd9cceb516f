"""Completion in a shell: commands, their flags, the keys of a config, and what is shipped by name.

    source <(churn-jax completion bash)          in ~/.bashrc; with zsh for bash in ~/.zshrc
    churn-jax completion fish > ~/.config/fish/completions/churn-jax.fish

The script has all words in it, so that no Python starts while somebody types.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from churn_jax.system import command_lines, config_help, shipped
from churn_jax.system.arguments import Parser, own_flags

if TYPE_CHECKING:
    from absl import flags as absl_flags

SHELLS = ("bash", "zsh", "fish")

_BASH = """\
_churn_jax() {{
  local line="${{COMP_LINE:0:COMP_POINT}}" command="${{COMP_WORDS[1]}}" words=""
  local word="${{line##* }}"
  COMPREPLY=()
  if [[ $COMP_CWORD -le 1 ]]; then
    COMPREPLY=($(compgen -W "{commands}" -- "$word"))
  elif [[ "$word" == *=* ]]; then  # the shell breaks words at =
    case "${{word%%=*}}" in
      --config) words="{configs}" ;;
      --study) words="{studies}" ;;
      --dataset) words="{configs}" ;;
    esac
    if [[ -n "$words" ]]; then
      COMPREPLY=($(compgen -W "$words" -- "${{word#*=}}"))
    else
      COMPREPLY=($(compgen -f -- "${{word#*=}}"))
    fi
  elif [[ "$word" == -* || "$command" == completion ]]; then
    case "$command" in
{flags}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    [[ ${{#COMPREPLY[@]}} -eq 1 && "${{COMPREPLY[0]}}" == *= ]] && compopt -o nospace 2>/dev/null
  else
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}}
complete -F _churn_jax churn-jax
"""
_ZSH = "autoload -U +X bashcompinit && bashcompinit\n"


def script(shell: str, known: "Mapping[str, absl_flags.FlagValues]") -> str:
    """What a shell is to run, once, so that it completes `churn-jax`.

    Args:
      shell: one of `SHELLS`.
      known: the flags of the commands that have absl's, `train` and `plan`.
    """
    flags = _flags(known)
    configs, studies = map(" ".join, map(shipped.names, (shipped.CONFIGS, shipped.STUDIES)))
    if shell == "fish":
        return _fish(flags, configs, studies)
    cases = [f'      {name}) words="{" ".join(found)}" ;;' for name, found in flags.items()]
    bash = _BASH.format(
        commands=" ".join(flags), configs=configs, studies=studies, flags="\n".join(cases)
    )
    return (_ZSH if shell == "zsh" else "") + bash


def _flags(known: "Mapping[str, absl_flags.FlagValues]") -> dict[str, list[str]]:
    """The flags of each command; those of a value end with =."""
    keys = [f"--config.{key.name}=" for key in config_help.described()]
    found = {name: [f"--{flag}=" for flag in own_flags(flags)] for name, flags in known.items()}
    found = {name: [*of_command, *keys] for name, of_command in found.items()}
    for make in (command_lines.evaluate, command_lines.compare, command_lines.study):
        found[make.__name__] = _of_parser(make(None))
    found["study"] += keys
    found["export"] = _of_parser(command_lines.export(None))
    return found | {"completion": list(SHELLS)}


def _of_parser(parser: Parser) -> list[str]:
    """A flag whose usage shows a value after it takes one."""
    usage = parser.format_usage()
    found = re.findall(r"--(\w+)( [^\]\s])?", usage)
    return [f"--{name}=" if value else f"--{name}" for name, value in dict.fromkeys(found)]


def _fish(flags: dict[str, list[str]], configs: str, studies: str) -> str:
    names = {"config": configs, "study": studies, "dataset": configs}
    lines = [f'complete -c churn-jax -n __fish_use_subcommand -f -a "{" ".join(flags)}"']
    for command, found in flags.items():
        of_command = f'complete -c churn-jax -n "__fish_seen_subcommand_from {command}"'
        for flag in found:
            name = flag.strip("-=")
            value = f' -x -a "{names[name]}"' if name in names else " -r" * flag.endswith("=")
            lines.append(f"{of_command} -l {name}{value}")
    return "\n".join(lines) + "\n"
