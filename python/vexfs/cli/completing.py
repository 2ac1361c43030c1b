"""Completion for bash, which takes a colon for the end of a word: `IMAGE:/path` reaches its function in pieces.

So the function passes the line as it was typed, and gets back what bash takes for the last piece.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from click.shell_completion import BashComplete, add_completion_class, split_arg_string

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["Bash"]

SCRIPT = r"""
%(complete_func)s() {
    local IFS=$'\n' typed="${COMP_LINE:0:COMP_POINT}" type value
    COMPREPLY=()
    while IFS=',' read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            *) COMPREPLY+=("$value"); [[ $value == */ ]] && compopt -o nospace ;;
        esac
    done < <(env COMP_TYPED="$typed" COMP_ENDS="$COMP_WORDBREAKS" %(complete_var)s=bash_complete "$1")
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """As click's, for words with a colon and names that the shell would split."""

    source_template = SCRIPT

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the last one, and the last one, as far as they are typed."""
        typed = os.environ["COMP_TYPED"]
        words = split_arg_string(typed)[1:]
        if not words or typed[-1].isspace():
            return words, ""
        return words[:-1], words[-1]

    def format_completion(self, item: CompletionItem) -> str:
        """What bash puts in place of its last word."""
        before, colon, _ = self.get_completion_args()[1].rpartition(":")
        value = str(item.value)
        if colon and colon in os.environ["COMP_ENDS"]:
            value = value.removeprefix(before + colon)
        quoted = re.sub(r"([^\w@%+=:,./-])", r"\\\1", value)
        return f"{item.type},{quoted}"


add_completion_class(Bash)
