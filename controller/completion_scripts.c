/*
 * What a shell is told to do: take the line apart, ask `errand completion words`, show
 * the answer. All that errand knows stays in errand.
 */
#include "controller/completion.h"

/* bash(1), "Programmable Completion". Readline splits words at "=", which is undone, and
 * replaces only what is behind it. Written for bash 3.2 too, which macOS has. */
static const char bash[] =
    "# bash completion for errand\n"
    "_errand() {\n"
    "    local words=() last=-1 word=1 part\n"
    "    while [ $word -le \"$COMP_CWORD\" ]; do\n"
    "        part=${COMP_WORDS[word]}\n"
    "        if [ $last -ge 0 ] && [ \"$part\" = = ] && [[ ${words[last]} == --* ]]; "
    "then\n"
    "            words[last]+==\n"
    "        elif [ $last -ge 0 ] && [[ ${words[last]} == --*= ]]; then\n"
    "            words[last]+=$part\n"
    "        else\n"
    "            last=$((last + 1))\n"
    "            words[last]=$part\n"
    "        fi\n"
    "        word=$((word + 1))\n"
    "    done\n"
    "    local prefix='' found help\n"
    "    [[ ${words[last]} == --*=* ]] && prefix=${words[last]%%=*}=\n"
    "    COMPREPLY=()\n"
    "    while IFS=$'\\t' read -r found help; do\n"
    "        case $found in\n"
    "        :files) compopt -o default 2>/dev/null ;;\n"
    "        :folders) compopt -o dirnames 2>/dev/null ;;\n"
    "        *) COMPREPLY+=(\"$(printf %q \"${found#\"$prefix\"}\")\") ;;\n"
    "        esac\n"
    "    done < <(\"${COMP_WORDS[0]}\" completion words \"${words[@]}\" 2>/dev/null)\n"
    "}\n"
    "complete -F _errand errand\n";

/* zshcompsys(1). Works sourced and as a file _errand of fpath. */
static const char zsh[] =
    "#compdef errand\n"
    "_errand() {\n"
    "    local -a lines found\n"
    "    local line\n"
    "    lines=(\"${(@f)$(${(Q)words[1]} completion words "
    "\"${(@Q)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
    "    for line in $lines; do\n"
    "        case $line in\n"
    "        :files) compset -P '--*='; _files; return ;;\n"
    "        :folders) compset -P '--*='; _files -/; return ;;\n"
    "        *) found+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\") ;;\n"
    "        esac\n"
    "    done\n"
    "    _describe errand found\n"
    "}\n"
    "if [ \"$funcstack[1]\" = _errand ]; then\n"
    "    _errand \"$@\"\n"
    "else\n"
    "    compdef _errand errand\n"
    "fi\n";

/* https://fishshell.com/docs/current/completions.html */
static const char fish[] =
    "# fish completion for errand\n"
    "function __errand_complete\n"
    "    set -l words (commandline -opc)\n"
    "    set -l current (commandline -ct)\n"
    "    for line in (command $words[1] completion words $words[2..-1] \"$current\" "
    "2>/dev/null)\n"
    "        switch $line\n"
    "            case :files\n"
    "                __fish_complete_path (string replace -r '^--[^=]*=' '' -- "
    "\"$current\")\n"
    "            case :folders\n"
    "                __fish_complete_directories (string replace -r '^--[^=]*=' '' -- "
    "\"$current\")\n"
    "            case '*'\n"
    "                echo $line\n"
    "        end\n"
    "    end\n"
    "end\n"
    "complete -c errand -f -a '(__errand_complete)'\n";

static const char *const scripts[] = {
    [COMPLETION_BASH] = bash,
    [COMPLETION_ZSH] = zsh,
    [COMPLETION_FISH] = fish,
};
_Static_assert(ARRAY_SIZE(scripts) == COMPLETION_SHELL_COUNT, "a script for each shell");

const char *completion_script(enum completion_shell shell)
{
    return scripts[shell];
}
