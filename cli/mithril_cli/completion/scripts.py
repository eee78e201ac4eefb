"""What each shell has to be told, once: where to ask when Tab is pressed after `ml`.

Nothing that comes back is ever run or expanded: bash takes it as an array, zsh and fish quote it themselves.
"""

from __future__ import annotations

import os
import shlex
import sys

BASH = """\
# bash completion for ml: eval "$(ml completion bash)" in ~/.bashrc
_mithril_ml() {
    local answer line
    COMPREPLY=()
    answer=$(PROGRAM __complete bash "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
    if [ $? -eq FILES ]; then
        compopt -o default 2>/dev/null
        return
    fi
    while IFS= read -r line; do
        [ -n "$line" ] && COMPREPLY+=("$line")
    done <<< "$answer"
}
complete -F _mithril_ml ml
"""

ZSH = """\
#compdef ml
# zsh completion for ml: eval "$(ml completion zsh)" in ~/.zshrc, after compinit
_mithril_ml() {
    local answer line
    local -a values shown
    answer=$(PROGRAM __complete zsh "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)
    if [[ $? -eq FILES ]]; then
        _files
        return
    fi
    for line in "${(@f)answer}"; do
        [[ -n $line ]] || continue
        values+=("${line%%$'\\t'*}")
        shown+=("${line/$'\\t'/  -- }")
    done
    (( $#values )) && compadd -l -d shown -a -- values
}
if [[ $funcstack[1] == _ml ]]; then
    _mithril_ml "$@"
else
    compdef _mithril_ml ml
fi
"""

FISH = """\
# fish completion for ml: ml completion fish > ~/.config/fish/completions/ml.fish
function __mithril_ml
    set -l answer (PROGRAM __complete fish (commandline -cp | string collect) 2>/dev/null)
    if test $status -eq FILES
        __fish_complete_path (commandline -ct)
    else
        printf '%s\\n' $answer
    end
end
complete -c ml -f -a '(__mithril_ml)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def script(shell: str) -> str:
    from mithril_cli.completion import EXIT_FILES

    quote = _fish_quoted if shell == "fish" else shlex.quote
    program = " ".join(map(quote, _program()))
    return SCRIPTS[shell].replace("PROGRAM", program).replace("FILES", str(EXIT_FILES))


def _program() -> list[str]:
    """This very `ml`: another one on PATH, such as the vendor's, would not know what it is asked."""
    own = os.path.abspath(sys.argv[0])
    if os.path.basename(own) == "ml" and os.access(own, os.X_OK):
        return [own]
    return [sys.executable, "-m", "mithril_cli.main"]


def _fish_quoted(word: str) -> str:
    return "'" + word.replace("\\", "\\\\").replace("'", "\\'") + "'"
